"""What a box does: answer gate queries, train, or score. Runs beside candidate code.

Nothing computed here is a number that anyone ranks by. Gate queries return outputs, training
returns weights as opaque bytes, scoring returns logits; the trusted side compares, counts and
computes every loss. Step losses are telemetry: they may stop a run, never promote one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from move37.evaluation.inside import probes, train
from move37.evaluation.inside.model import LanguageModel, shape_of
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
                train.train(message, arrays, read, send)
            case "score":
                _score(message, arrays, send)
            case "stream":
                _stream(message, arrays, read, send)
            case "device":
                reply(send, train.describe_device())
            case "attack":
                traps = canaries.Traps.model_validate(message["traps"])
                reply(send, dict(canaries.attack(traps)))
            case op:
                probes.answer(session, str(op), message, arrays, send)


def _load(message: dict[str, Any], weights: bytes) -> tuple[LanguageModel, str]:
    """Return the trained model, and the device it is on."""
    model = LanguageModel(message["source"], shape_of(message["shape"]), seed=0)
    model.load_state_dict(safetensors.torch.load(weights))
    device = str(message.get("device", "cpu"))
    return model.to(device).eval(), device


def _score(message: dict[str, Any], arrays: list[np.ndarray], send: Send) -> None:
    """Return logits [B, T, V] for every batch of the arrays [B, T] or [N, B, T] of tokens."""
    model, device = _load(message, arrays[0].tobytes())
    with torch.no_grad():
        for tokens in arrays[1:]:
            for batch in torch.from_numpy(tokens).long().view(-1, *tokens.shape[-2:]):
                _send_logits(model(batch.to(device)), send)


def _stream(
    message: dict[str, Any], arrays: list[np.ndarray], read: protocol.Reader, send: Send
) -> None:
    """Return logits [B, V] for tokens [B] that come one position at a time."""
    model, device = _load(message, arrays[0].tobytes())
    states = None
    with torch.no_grad():
        for _ in range(message["length"]):
            _, payload = protocol.read_frame(read)
            tokens = torch.from_numpy(np.frombuffer(payload, np.uint16).astype(np.int64))
            logits, states = model.advance(tokens[:, None].to(device), states)
            _send_logits(logits[:, 0], send)


def _send_logits(logits: Tensor, send: Send) -> None:
    send(protocol.ARRAY, logits.float().contiguous().cpu().numpy().tobytes())
