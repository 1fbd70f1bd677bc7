"""Held-out loss that cannot profit from the future: tokens are handed over one at a time.

A fresh box holds the trained weights and returns logits for the position it was given last; only
then does it get the next token. The label of a prediction is nowhere in that process while the
prediction is made, so a model that peeks scores like one that cannot. This is the leak-proof
score, taken at every position, and it is the only loss that is ranked.
"""

from __future__ import annotations

import numpy as np

from move37.evaluation import data
from move37.evaluation.isolation.nursery import Box

Array = np.ndarray


def stream_logits(box: Box, job: dict[str, object], weights: bytes, tokens: Array) -> Array:
    """Return logits [R, T, V] in float32 for tokens [R, T], asked for position by position.

    `job` names source and shape of the model; `vocabulary` among the latter.

    Raises:
        BoxFailure: the candidate raised, ran out of time, or returned NaN.
    """
    rows, length = tokens.shape
    shape = (rows, vocabulary_of(job))
    logits = np.empty((rows, length, shape[1]), np.float32)
    box.send({**job, "op": "stream", "length": length}, [np.frombuffer(weights, np.uint8)])
    for position in range(length):
        box.send_array(tokens[:, position].astype(np.uint16))
        logits[:, position] = box.receive_array(shape, "<f4")
    return logits


def vocabulary_of(job: dict[str, object]) -> int:
    """Return the number of logits of the model that a job describes."""
    shape = job["shape"]
    assert isinstance(shape, dict)
    return int(shape["vocabulary"])


def rows_of(batches: data.Batches) -> data.Batches:
    """Join the batches [S, B, T + 1] into rows [S * B, T + 1]: scoring needs no steps."""
    tokens, mask = batches.tokens, batches.mask
    return data.Batches(tokens.reshape(-1, tokens.shape[-1]), mask.reshape(-1, mask.shape[-1]))
