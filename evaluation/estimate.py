"""What one run at a tier needs on this machine: memory by arithmetic, time by a short measurement.

The arithmetic is that of the baseline, DeltaNet. The measurement trains it for a few steps in
boxes, on the standard library's text and on recall, and is kept for each machine, tier and
evaluator: nothing is known of a step's time before one was taken.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock
from pydantic import Field, ValidationError

from move37.arch_templates.catalog import template_source
from move37.evaluation import data
from move37.evaluation.evaluate import evaluator_hash, machine_name, read_point
from move37.evaluation.isolation.nursery import Box, BoxFailure, Limits, Nursery
from move37.evaluation.machine import GIB, gpus, usable_cores, usable_memory
from move37.evaluation.sizes import memory_bytes, operations, parameters, tasks_of, tokens_of
from move37.evaluation.tiers import Task, Tier
from move37.evaluation.training import job
from move37.files import write_atomically
from move37.records import Finite, UserError, Value, content_id

STEPS = 24
# The first steps of a box also warm its allocator up.
WARM = 4
BOXES = 5
PROBE_SECONDS = 60.0
# What must stay free for the judge, the campaign and the system.
SHARE = 0.8


class Timed(Value):
    """Seconds of training of one run: the mean of measured steps, times their number.

    The median over boxes; `low` and `high` are the least and the most of them. On a CPU they are
    seconds of a core of one's own, so that other work on the machine does not count. `steps` is
    how many were measured, `peak_bytes` the memory that the largest box took.
    """

    kind: Literal["timed"] = "timed"
    seconds: Finite
    low: Finite
    high: Finite
    steps: int
    peak_bytes: int


class Untimed(Value):
    """Why there is no time."""

    kind: Literal["untimed"] = "untimed"
    reason: str


class Estimate(Value):
    """What one run of the baseline at a tier takes: text and recall, one seed.

    `operations` are six for each parameter that multiplies and each token. `obstacle` says why it
    cannot run on this machine, empty where it can.
    """

    tier: str
    parameters: int
    without_embeddings: int
    tokens: int
    operations: float
    memory_bytes: int
    obstacle: str
    time: Annotated[Timed | Untimed, Field(discriminator="kind")]


def obstacle(tier: Tier) -> str:
    """Say in one line why a tier cannot run on this machine, and what to do; empty if it can."""
    needed = memory_bytes(tier)
    if tier.device == "cuda":
        try:
            cards = gpus()
        except UserError as error:
            return f"tier {tier.name} needs CUDA, but {error}"
        if not cards:
            return (
                f"tier {tier.name} needs CUDA, and no GPU is there; "
                "use --tier laptop, or a machine with one"
            )
        room, where = max(card.memory for card in cards), "the GPU has"
    else:
        room, where = usable_memory(), "this machine has"
    if needed <= SHARE * room:
        return ""
    return (
        f"tier {tier.name} needs about {needed / GIB:.1f} GiB of memory for a run, {where} "
        f"{room / GIB:.1f} GiB; raise parts or lower rows in a copy of its file, or use --tier "
        "laptop"
    )


def require(tier: Tier) -> None:
    """Refuse a tier that cannot run here, before anything starts.

    Raises:
        UserError: it needs CUDA that is not there, or more memory than there is.
    """
    if found := obstacle(tier):
        raise UserError(found)


def estimate(tier: Tier, timing: Callable[[Tier], Timed | Untimed]) -> Estimate:
    """Return what one run takes; `timing` is asked only if the tier can run here at all."""
    found = obstacle(tier)
    everything, inner = parameters(tier)
    return Estimate(
        tier=tier.name,
        parameters=everything,
        without_embeddings=inner,
        tokens=sum(tokens_of(task, name) for name, task in tasks_of(tier)),
        operations=operations(tier),
        memory_bytes=memory_bytes(tier),
        obstacle=found,
        time=Untimed(reason="cannot run here") if found else timing(tier),
    )


# --- measuring ---------------------------------------------------------------------------------


def timed(tier: Tier, cache: Path, nursery: Callable[[], Nursery]) -> Timed | Untimed:
    """Return the time of a run from the cache of this machine, or measure it in boxes."""
    folder = cache / "throughput"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{tier.name}-{_key(tier)}.json"
    with FileLock(f"{path}.lock"):
        try:
            return Timed.model_validate_json(path.read_text())
        except (FileNotFoundError, ValidationError):
            found = _measure(tier, nursery())
        if isinstance(found, Timed):
            write_atomically(path, found.model_dump_json())
    return found


def _key(tier: Tier) -> str:
    machine = (platform.node(), machine_name(), usable_cores(), [c.name for c in gpus()])
    return content_id(machine, metadata.version("torch"), tier.digest, evaluator_hash())


def _measure(tier: Tier, nursery: Nursery) -> Timed | Untimed:
    total, low, high, count, peak = 0.0, 0.0, 0.0, 0, 0
    corpus = data.load_corpus()
    for name, task in tasks_of(tier):
        size = (STEPS, task.rows, task.length)
        if name == "text":
            batches = data.text_batches(corpus, 0, size)
        else:
            batches = data.recall_batches(0, size, task.vocabulary)
        means: list[float] = []
        for _ in range(BOXES):
            try:
                mean, used = _step_seconds(tier, task, batches, nursery)
            except BoxFailure as failure:
                return Untimed(reason=f"{failure.stage}: {failure.reason}")
            means.append(mean)
            peak = max(peak, used)
        total += statistics.median(means) * task.steps
        low, high = low + min(means) * task.steps, high + max(means) * task.steps
        count += BOXES * (STEPS - WARM)
    return Timed(seconds=total, low=low, high=high, steps=count, peak_bytes=peak)


def _step_seconds(
    tier: Tier, task: Task, batches: data.Batches, nursery: Nursery
) -> tuple[float, int]:
    """Return the mean seconds of a step after the first ones, and the peak memory of the box."""
    cuda, start = tier.device == "cuda", 0.0
    with nursery.open_box(Limits(seconds=PROBE_SECONDS, cuda=cuda)) as box:
        message = job(template_source("delta_net"), tier, task, seed=0)
        box.send({**message, "steps": STEPS}, [batches.tokens, batches.mask])
        for step in range(1, STEPS + 1):
            read_point(box, "text", step, 0.0)
            if step == WARM:
                start = _now(box, cuda=cuda)
        taken = _now(box, cuda=cuda) - start
    return taken / (STEPS - WARM), box.usage.peak_bytes


def _now(box: Box, *, cuda: bool) -> float:
    return time.monotonic() if cuda else box.cpu_seconds()
