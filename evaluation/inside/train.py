"""The training loop, the same on a CPU and on CUDA. Runs in a box, beside candidate code.

On CUDA it runs under autocast to bfloat16 and compiled, where the candidate and the walls allow
both: each is tried on a copy of the model first, and what was not possible is told.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from move37.arch_templates.ops import backend
from move37.evaluation.inside.model import LanguageModel, shape_of
from move37.evaluation.inside.probes import reply
from move37.evaluation.isolation import protocol

Send = Callable[[bytes, bytes | memoryview], None]
Forward = Callable[[Tensor], Tensor]
Step = tuple[Tensor, Tensor]
# What candidates, the compiler and a box without a compiler's files and processes raise.
REFUSALS = (
    RuntimeError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    AssertionError,
    ImportError,
    OSError,
)
REMARK_LENGTH = 400


def train(
    message: dict[str, Any], arrays: list[np.ndarray], read: protocol.Reader, send: Send
) -> None:
    """Train on tokens [S, B, T + 1] where mask [S, B, T] is set.

    Sends a loss for each step, the form that each op ran in, what it ran on, and the weights. When
    the arrays end before `steps`, the next ones are read from the trusted side.
    """
    device = str(message.get("device", "cpu"))
    steps = int(message["steps"]) if "steps" in message else arrays[0].shape[0]
    parts: int = message.get("parts", 1)
    model = LanguageModel(message["source"], shape_of(message["shape"]), message["seed"])
    model.to(device).train()
    batches = _batches(arrays, read, device)
    first = next(batches)
    forward, precision, runtime = _settle(model, first, message, device)
    optimiser = _optimiser(model, message["rate"], message["decay"])
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = message["rate"] * rate_at(step, steps, message["warmup"])
        batch, mask = first if step == 0 else next(batches)
        optimiser.zero_grad(set_to_none=True)
        loss = _backward(forward, precision, batch.chunk(parts), mask.chunk(parts))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        reply(send, {"step": step + 1, "loss": loss})
    reply(send, {"forms": backend.forms(), "runtime": runtime})
    state = {k: v.contiguous().clone().cpu() for k, v in model.state_dict().items()}
    send(protocol.WEIGHTS, safetensors.torch.save(state))


def rate_at(step: int, total: int, warmup: int) -> float:
    """Linear warm-up, then a cosine to a tenth, both inside the run: a share of the peak rate."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * done))


def _optimiser(model: nn.Module, rate: float, decay: float) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), fused=True)


def _batches(arrays: list[np.ndarray], read: protocol.Reader, device: str) -> Iterator[Step]:
    """Return tokens [B, T + 1] and mask [B, T] of each step."""
    while True:
        for tokens, mask in zip(*map(torch.from_numpy, arrays), strict=True):
            yield tokens.long().to(device), mask.float().to(device)
        _, arrays = protocol.read_request(read)


def _backward(
    forward: Forward,
    precision: AbstractContextManager[object],
    batches: tuple[Tensor, ...],
    masks: tuple[Tensor, ...],
) -> float:
    """Add up the gradients of all parts of a step; return its mean loss over the mask."""
    count, total = sum(mask.sum() for mask in masks), 0.0
    for batch, mask in zip(batches, masks, strict=True):
        with precision:
            logits = forward(batch[:, :-1])
        losses = F.cross_entropy(
            logits.flatten(0, 1).float(), batch[:, 1:].flatten(), reduction="none"
        )
        loss = (losses * mask.flatten()).sum() / count
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


# --- what the candidate allows -----------------------------------------------------------------


def _settle(
    model: nn.Module, step: Step, message: dict[str, Any], device: str
) -> tuple[Forward, AbstractContextManager[object], dict[str, object]]:
    """Find out how this model can run; return the call, its precision, and what to tell of it."""
    told: dict[str, object] = {"device": device, "precision": "float32", "compiled": False}
    precision: AbstractContextManager[object] = contextlib.nullcontext()
    remarks = []
    if message.get("bfloat16"):
        half = torch.autocast(device, torch.bfloat16)
        if why := _refusal(model, step, half):
            remarks.append(f"not in bfloat16: {why}")
        else:
            told["precision"], precision = "bfloat16", half
    forward: Forward = model
    if message.get("compile"):
        if why := _refusal(model, step, precision, compiled=True):
            remarks.append(f"not compiled: {why}")
        else:
            told["compiled"], forward = True, torch.compile(model)
    return forward, precision, {**told, "remark": "; ".join(remarks)[:REMARK_LENGTH]}


def _refusal(
    model: nn.Module,
    step: Step,
    precision: AbstractContextManager[object],
    *,
    compiled: bool = False,
) -> str:
    """Try one row forward and backward on a copy; return why it does not go, or nothing.

    The random state is put back, and a counter in the model stays where it was.
    """
    batch, mask = step[0], step[1]
    devices = [batch.device] if batch.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        try:
            trial = copy.deepcopy(model)
            forward: Forward = torch.compile(trial) if compiled else trial
            loss = _backward(forward, precision, (batch,), (mask,))
        except REFUSALS as error:
            torch.compiler.reset()
            return " ".join(f"{type(error).__name__}: {error}".split())[:REMARK_LENGTH]
    return "" if math.isfinite(loss) else f"the loss is {loss}"


def describe_device() -> dict[str, object]:
    """Say whether a tensor can be made on CUDA here, and why not."""
    try:
        torch.zeros(1, device="cuda").add_(1).item()
    except (RuntimeError, AssertionError) as error:
        return {"cuda": False, "why": " ".join(str(error).split())[:REMARK_LENGTH]}
    return {"cuda": True, "why": ""}
