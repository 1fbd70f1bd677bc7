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
KEPT_BYTES = 256 << 20
# The audit asks for a row in other company.
LEAST_KEPT = 2


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


def stream_losses(
    box: Box, job: dict[str, object], weights: bytes, rows: data.Batches, kept: Array
) -> tuple[Array, Array]:
    """Return the loss [R, T] in nats of every target, and the logits [K, T, V] of the rows `kept`.

    `rows` holds tokens [R, T + 1]. Logits of a large vocabulary are too many to be held for all
    rows, so the others are dropped position by position.

    Raises:
        BoxFailure: the candidate raised, ran out of time, or returned NaN.
    """
    count, length = rows.mask.shape
    losses = np.empty((count, length))
    logits = np.empty((len(kept), length, vocabulary_of(job)), np.float32)
    advance = open_stream(box, job, weights, (count, length))
    for position in range(length):
        told = advance(rows.tokens[:, position])
        pair = rows.tokens[:, position : position + 2]
        losses[:, position] = data.token_losses(told[:, None], pair)[:, 0]
        logits[:, position] = told[kept]
    return losses, logits


def rows_to_keep(shape: tuple[int, int], vocabulary: int, secret: int) -> Array:
    """Choose the rows of [R, T] whose logits are audited: all, or as many as fit the memory."""
    count, length = shape
    fitting = max(LEAST_KEPT, KEPT_BYTES // (length * vocabulary * 4))
    if fitting >= count:
        return np.arange(count)
    return np.random.default_rng(secret).choice(count, fitting, replace=False)


def vocabulary_of(job: dict[str, object]) -> int:
    """Return the number of logits of the model that a job describes."""
    shape = job["shape"]
    assert isinstance(shape, dict)
    return int(shape["vocabulary"])


def rows_of(batches: data.Batches) -> data.Batches:
    """Join the batches [S, B, T + 1] into rows [S * B, T + 1]: scoring needs no steps."""
    tokens, mask = batches.tokens, batches.mask
    return data.Batches(tokens.reshape(-1, tokens.shape[-1]), mask.reshape(-1, mask.shape[-1]))
