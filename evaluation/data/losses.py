"""The loss of every target, computed on the trusted side."""

from __future__ import annotations

import numpy as np

from move37.evaluation.data.corpus import Array


def token_losses(logits: Array, tokens: Array) -> Array:
    """Return the loss in nats of every target, from logits [.., T, V] and tokens [.., T + 1]."""
    wide = logits.astype(np.float64)
    top = wide.max(-1, keepdims=True)
    normaliser = np.log(np.exp(wide - top).sum(-1)) + top[..., 0]
    targets = tokens[..., 1:].astype(np.int64)[..., None]
    losses: Array = normaliser - np.take_along_axis(wide, targets, -1)[..., 0]
    return losses
