"""What a box does: answer gate queries, train, or score. Runs beside candidate code.

Nothing computed here is a number that anyone ranks by. Gate queries return outputs, training
returns weights as opaque bytes, scoring returns logits; the trusted side compares, counts and
computes every loss. Step losses are telemetry: they may stop a run, never promote one.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from move37.arch_templates.contract import build_mixer
from move37.evaluation.isolation import protocol
from move37.evaluation.model import LanguageModel, ModelShape, shape_of

Send = Callable[[bytes, bytes | memoryview], None]


def warm_up() -> None:
    """Import and touch once what every box needs, before any candidate exists."""
    torch.set_num_threads(1)
    layer = nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.zeros(1, 2)).sum().backward()
    optimiser.step()


def serve(read: protocol.Reader, send: Send) -> None:
    """Answer requests until the trusted side hangs up (EOFError from `read`)."""
    mixer: nn.Module | None = None
    while True:
        message, arrays = protocol.read_request(read)
        match message.pop("op"):
            case "build":
                mixer = _build(message)
                reply(send, {"parameters": sum(p.numel() for p in mixer.parameters())})
            case "forward" if mixer is not None:
                _forward(mixer, message, arrays, send)
            case "count" if mixer is not None:
                reply(send, _count(mixer, arrays[0]))
            case "train":
                _train(message, arrays, send)
            case "score":
                _score(message, arrays, send)
            case unknown:
                raise ValueError(f"unknown request {unknown!r}")


def reply(send: Send, message: dict[str, object]) -> None:
    """Send one JSON object."""
    send(protocol.JSON, json.dumps(message).encode())


# --- gates -------------------------------------------------------------------------------------


def _build(message: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    mixer = build_mixer(message["source"], message["hidden"], message["heads"], 0)
    mixer.to(torch.float64)
    return mixer


def _redraw(mixer: nn.Module, draw: int) -> None:
    """Replace every parameter by noise of its own scale, so that no path stays switched off."""
    generator = torch.Generator().manual_seed(draw)
    with torch.no_grad():
        for parameter in mixer.parameters():
            fan_in = parameter.shape[-1] if parameter.ndim > 1 else 1
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(noise * (0.5 if parameter.ndim < 2 else fan_in**-0.5))


def _segments(mixer: nn.Module, x: Tensor, cuts: Sequence[int]) -> Tensor:
    """Run `x` [B, T, D] in consecutive pieces that end at `cuts`, handing the state on."""
    outputs, state, start = [], None, 0
    for end in [*cuts, x.shape[1]]:
        result = mixer(x[:, start:end], state)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise ValueError(f"forward returned a {type(result).__name__}, expected (y, state)")
        y, state = result
        outputs.append(y)
        start = end
    return torch.cat(outputs, dim=1)


def _state_hash(mixer: nn.Module) -> int:
    tensors = [*mixer.parameters(), *mixer.buffers()]
    return hash(tuple(t.detach().cpu().numpy().tobytes() for t in tensors))


def _forward(
    mixer: nn.Module, message: dict[str, Any], arrays: list[np.ndarray], send: Send
) -> None:
    """Run several inputs through one fresh copy of the mixer, in order."""
    fresh = copy.deepcopy(mixer)
    if message["draw"]:
        _redraw(fresh, message["draw"])
    fresh.train(message["train"])
    before = _state_hash(fresh)
    outputs = []
    with torch.no_grad():
        # Reset once, not for each input: a layer that draws numbers in eval mode must show it.
        torch.manual_seed(0)
        for x, cuts in zip(arrays, message["cuts"], strict=True):
            y = _segments(fresh, torch.from_numpy(x), cuts)
            if y.shape != x.shape:
                raise ValueError(f"y has shape {list(y.shape)}, expected {list(x.shape)}")
            outputs.append(y.to(torch.float64).contiguous().numpy().tobytes())
    reply(send, {"changed": _state_hash(fresh) != before})
    for payload in outputs:
        send(protocol.ARRAY, payload)


def _leaves(state: object) -> list[Tensor]:
    flat, _ = torch.utils._pytree.tree_flatten(state)
    return [leaf for leaf in flat if isinstance(leaf, Tensor)]


def _count(mixer: nn.Module, x: np.ndarray) -> dict[str, object]:
    """Count floating-point operations a token and state bytes a sequence, in float32."""
    fresh = copy.deepcopy(mixer).to(torch.float32).eval()
    inputs = torch.from_numpy(x).to(torch.float32)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        _, state = fresh(inputs, None)
    tokens = inputs.shape[0] * inputs.shape[1]
    size = sum(leaf.numel() * leaf.element_size() for leaf in _leaves(state))
    return {"flops": counter.get_total_flops() / tokens, "state": size / inputs.shape[0]}


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
    """Train on tokens [S, B, T + 1] where mask [S, B, T] is set; send losses, then weights."""
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
    state = {k: v.contiguous().clone() for k, v in model.state_dict().items()}
    send(protocol.WEIGHTS, safetensors.torch.save(state))


# --- scoring -----------------------------------------------------------------------------------


def _load(source: str, shape: ModelShape, weights: bytes) -> LanguageModel:
    model = LanguageModel(source, shape, seed=0)
    model.load_state_dict(safetensors.torch.load(weights))
    return model.eval()


def _score(message: dict[str, Any], arrays: list[np.ndarray], send: Send) -> None:
    """Return logits [B, T, V] in float32 for every batch of tokens [N, B, T]."""
    shape = shape_of(message["shape"])
    model = _load(message["source"], shape, arrays[0].tobytes())
    with torch.no_grad():
        for batch in torch.from_numpy(arrays[1]).long():
            send(protocol.ARRAY, model(batch).float().contiguous().numpy().tobytes())
