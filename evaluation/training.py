"""The trusted side of a training run: what is asked of the box, and its data as it needs them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from move37.evaluation.data import Batches
from move37.evaluation.isolation.nursery import Box, BoxFailure, Limits, Nursery
from move37.evaluation.tiers import Task, Tier
from move37.records import Runtime, UserError

WEIGHT_LIMIT = 256 << 20
# Room for a header of safetensors, and for a candidate over the budget of G15 to be told so.
WEIGHT_SLACK = 2
BOX_BYTES = 6 << 30
CUDA_SECONDS = 120.0


def model_job(source: str, tier: Tier, vocabulary: int) -> dict[str, object]:
    """Return what a box has to know to build the model around a mixer."""
    shape = {
        "vocabulary": vocabulary,
        "layers": tier.layers,
        "hidden": tier.hidden,
        "heads": tier.heads,
        "expansion": tier.expansion,
    }
    return {"source": source, "shape": shape, "device": tier.device}


def job(source: str, tier: Tier, task: Task, seed: int) -> dict[str, object]:
    """Return the request that trains; arrays of its first steps go with it."""
    return {
        **model_job(source, tier, task.vocabulary),
        "op": "train",
        "seed": seed,
        "rate": task.rate,
        "decay": tier.weight_decay,
        "warmup": max(1, math.ceil(tier.warmup_share * task.steps)),
        "steps": task.steps,
        "parts": task.parts,
        "bfloat16": tier.device == "cuda",
        "compile": tier.device == "cuda",
    }


def limits_of(tier: Tier, needed: int) -> Limits:
    """Return the limits of a box at a tier that needs so many bytes of memory for a run."""
    # Address space is reserved more freely than it is used.
    room = max(BOX_BYTES, 2 * needed + BOX_BYTES // 2)
    return Limits(seconds=tier.seconds, memory_bytes=room, cuda=tier.device == "cuda")


def weight_limit(parameters: int) -> int:
    """Return the most bytes of weights that a box may send, for a baseline of that size."""
    return max(WEIGHT_LIMIT, WEIGHT_SLACK * 4 * parameters)


class Feed:
    """Hands batches to a training box a few steps at a time: neither side holds them all."""

    def __init__(self, box: Box, message: dict[str, object], chunks: Iterator[Batches]) -> None:
        self._box, self._chunks = box, chunks
        first = next(chunks)
        self._until = len(first.tokens)
        box.send(message, [first.tokens, first.mask])

    def before(self, step: int) -> None:
        """Send the next batches if the box has none left for this step, counted from 1."""
        if step <= self._until:
            return
        chunk = next(self._chunks)
        self._until += len(chunk.tokens)
        self._box.send({}, [chunk.tokens, chunk.mask])


def require_cuda(nursery: Nursery) -> None:
    """Ask a box whether it can use the GPU from behind its walls.

    Raises:
        UserError: it cannot.
    """
    try:
        with nursery.open_box(Limits(seconds=CUDA_SECONDS, cuda=True)) as box:
            box.send({"op": "device"})
            told = box.receive_json()
    except BoxFailure as failure:
        told = {"why": failure.reason}
    except RuntimeError as error:
        told = {"why": str(error).splitlines()[-1]}
    if told.get("cuda") is not True:
        raise UserError(
            f"a box cannot use CUDA from behind its walls: {str(told.get('why'))[:300]}; "
            "see docs/isolation.md on the GPU, or use --tier laptop"
        )


def read_runtime(told: object, box: Box) -> Runtime:
    """Return what a training ran on, as its box tells: known words, of bounded length."""
    if not isinstance(told, dict):
        raise BoxFailure("train", "the process told no runtime", box.log_tail())
    try:
        return Runtime.model_validate(told)
    except ValueError:
        raise BoxFailure("train", "the process told a runtime of other words") from None
