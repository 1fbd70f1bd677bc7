"""Windows of a corpus: drawn by a seed for training, evenly spaced for scoring.

The order follows from seed, corpus and size alone, so a candidate and its baseline see the same
tokens in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from move37.evaluation.data.corpus import Array, Batches, Corpus

# Tokens that are drawn at a time. The positions of all windows are drawn first, so that this
# number changes no batch.
CHUNK_TOKENS = 1 << 20
# The system maps some 16 pages around each that is read: 8 MiB for so many windows.
RELEASED_WINDOWS = 128


def text_chunks(corpus: Corpus, seed: int, size: tuple[int, int, int]) -> Iterator[Batches]:
    """Draw training windows a few steps at a time; `size` is (steps, rows, length)."""
    steps, rows, length = size
    generator = np.random.default_rng([seed, 1])
    starts = generator.integers(0, len(corpus.train) - length - 1, size=(steps, rows, 1))
    some = max(1, CHUNK_TOKENS // (rows * (length + 1)))
    for first in range(0, steps, some):
        tokens = _windows(corpus, corpus.train, starts[first : first + some], length)
        yield Batches(tokens, np.ones((len(tokens), rows, length), np.uint8))


def text_batches(corpus: Corpus, seed: int, size: tuple[int, int, int]) -> Batches:
    """Draw all training windows at once; `size` is (steps, rows, length)."""
    chunks = list(text_chunks(corpus, seed, size))
    return Batches(
        np.concatenate([chunk.tokens for chunk in chunks]),
        np.concatenate([chunk.mask for chunk in chunks]),
    )


def in_chunks(batches: Batches) -> Iterator[Batches]:
    """Hand out batches a few steps at a time."""
    steps, rows, width = batches.tokens.shape
    some = max(1, CHUNK_TOKENS // (rows * width))
    for first in range(0, steps, some):
        chosen = slice(first, first + some)
        yield Batches(batches.tokens[chosen], batches.mask[chosen])


def held_out_windows(corpus: Corpus, size: tuple[int, int, int]) -> Batches:
    """Return evenly spaced windows of the held-out text; `size` is (batches, rows, length).

    Windows never overlap, or one row would tell what comes next in another: a short text gives
    fewer of them, one a batch.
    """
    batches, rows, length = size
    there = len(corpus.held_out) // (length + 1)
    if there < batches * rows:
        batches, rows = max(1, there), 1
    starts = np.linspace(0, len(corpus.held_out) - length - 1, batches * rows).astype(np.int64)
    tokens = _windows(corpus, corpus.held_out, starts.reshape(batches, rows, 1), length)
    return Batches(tokens, np.ones((batches, rows, length), np.uint8))


def _windows(corpus: Corpus, text: Array, starts: Array, length: int) -> Array:
    """Return [.., T + 1] token ids from starts [.., 1]; pages of mapped text are given back."""
    flat = starts.ravel()
    found = np.empty((len(flat), length + 1), np.uint16)
    for first in range(0, len(flat), RELEASED_WINDOWS):
        some = flat[first : first + RELEASED_WINDOWS, None]
        found[first : first + RELEASED_WINDOWS] = text[some + np.arange(length + 1)]
        corpus.release()
    return found.reshape(*starts.shape[:-1], length + 1)
