"""Held-out loss that cannot profit from the future: tokens are handed over one at a time.

A fresh box holds the trained weights and returns logits for the position it was given last; only
then does it get the next token. The label of a prediction is nowhere in that process while the
prediction is made, so a model that peeks scores like one that cannot. This is the leak-proof
score, taken at every position, and it is the only loss that is ranked.
"""

from __future__ import annotations

from collections.abc import Callable

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
    logits = np.empty((rows, length, vocabulary_of(job)), np.float32)
    advance = open_stream(box, job, weights, (rows, length))
    for position in range(length):
        logits[:, position] = advance(tokens[:, position])
    return logits


def open_stream(
    box: Box, job: dict[str, object], weights: bytes, size: tuple[int, int]
) -> Callable[[Array], Array]:
    """Load the weights; return what maps the next tokens [R] to logits [R, V] in float32.

    `size` is (R, T): the function may be called T times, and fewer if the box ends before.
    """
    rows, length = size
    shape = (rows, vocabulary_of(job))
    box.send({**job, "op": "stream", "length": length}, [np.frombuffer(weights, np.uint8)])

    def advance(tokens: Array) -> Array:
        box.send_array(tokens.astype(np.uint16))
        return box.receive_array(shape, "<f4")

    return advance


def vocabulary_of(job: dict[str, object]) -> int:
    """Return the number of logits of the model that a job describes."""
    shape = job["shape"]
    assert isinstance(shape, dict)
    return int(shape["vocabulary"])


def rows_of(batches: data.Batches) -> data.Batches:
    """Join the batches [S, B, T + 1] into rows [S * B, T + 1]: scoring needs no steps."""
    tokens, mask = batches.tokens, batches.mask
    return data.Batches(tokens.reshape(-1, tokens.shape[-1]), mask.reshape(-1, mask.shape[-1]))
