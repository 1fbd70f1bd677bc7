"""What a box does: answer gate queries, train, or score. Runs beside candidate code.

Nothing computed here is a number that anyone ranks by. Gate queries return outputs, training
returns weights as opaque bytes, scoring returns logits; the trusted side compares, counts and
computes every loss. Step losses are telemetry: they may stop a run, never promote one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from move37.arch_templates.ops import backend
from move37.evaluation.inside import probes
from move37.evaluation.inside.model import LanguageModel, ModelShape, shape_of
from move37.evaluation.inside.probes import reply
from move37.evaluation.isolation import canaries, protocol

Send = Callable[[bytes, bytes | memoryview], None]


def serve(read: protocol.Reader, send: Send) -> None:
    """Answer requests until the trusted side hangs up (EOFError from `read`)."""
    session = probes.Session()
    while True:
        message, arrays = protocol.read_request(read)
        match message.pop("op"):
            case "train":
                _train(message, arrays, send)
            case "score":
                _score(message, arrays, send)
            case "stream":
                _stream(message, arrays, read, send)
            case "attack":
                traps = canaries.Traps.model_validate(message["traps"])
                reply(send, dict(canaries.attack(traps)))
            case op:
                probes.answer(session, str(op), message, arrays, send)


# --- training ----------------------------------------------------------------------------------


def _rate(step: int, total: int, warmup: int) -> float:
    """Linear warm-up, then a cosine to a tenth."""
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


def _masked_loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    weights = mask.flatten()
    return (losses * weights).sum() / weights.sum()


def _train(message: dict[str, Any], arrays: list[np.ndarray], send: Send) -> None:
    """Train on tokens [S, B, T + 1] where mask [S, B, T] is set.

    Sends a loss for each step, the form that each op ran in, and the weights.
    """
    tokens, mask = torch.from_numpy(arrays[0]).long(), torch.from_numpy(arrays[1]).float()
    model = LanguageModel(message["source"], shape_of(message["shape"]), message["seed"])
    model.train()
    optimiser = _optimiser(model, message["rate"], message["decay"])
    steps = tokens.shape[0]
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = message["rate"] * _rate(step, steps, message["warmup"])
        batch = tokens[step]
        loss = _masked_loss(model(batch[:, :-1]), batch[:, 1:], mask[step])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        reply(send, {"step": step + 1, "loss": loss.item()})
    reply(send, {"forms": backend.forms()})
    state = {k: v.contiguous().clone() for k, v in model.state_dict().items()}
    send(protocol.WEIGHTS, safetensors.torch.save(state))


# --- scoring -----------------------------------------------------------------------------------


def _load(source: str, shape: ModelShape, weights: bytes) -> LanguageModel:
    model = LanguageModel(source, shape, seed=0)
    model.load_state_dict(safetensors.torch.load(weights))
    return model.eval()


def _score(message: dict[str, Any], arrays: list[np.ndarray], send: Send) -> None:
    """Return logits [B, T, V] for every batch of the arrays [B, T] or [N, B, T] of tokens."""
    model = _load(message["source"], shape_of(message["shape"]), arrays[0].tobytes())
    with torch.no_grad():
        for tokens in arrays[1:]:
            for batch in torch.from_numpy(tokens).long().view(-1, *tokens.shape[-2:]):
                _send_logits(model(batch), send)


def _stream(
    message: dict[str, Any], arrays: list[np.ndarray], read: protocol.Reader, send: Send
) -> None:
    """Return logits [B, V] for tokens [B] that come one position at a time."""
    model = _load(message["source"], shape_of(message["shape"]), arrays[0].tobytes())
    states = None
    with torch.no_grad():
        for _ in range(message["length"]):
            _, payload = protocol.read_frame(read)
            tokens = torch.from_numpy(np.frombuffer(payload, np.uint16).astype(np.int64))
            logits, states = model.advance(tokens[:, None], states)
            _send_logits(logits[:, 0], send)


def _send_logits(logits: Tensor, send: Send) -> None:
    send(protocol.ARRAY, logits.float().contiguous().numpy().tobytes())
