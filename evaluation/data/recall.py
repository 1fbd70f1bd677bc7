"""Multi-query associative recall as batches of token ids, drawn from a seed alone."""

from __future__ import annotations

import numpy as np

from move37.evaluation.data.corpus import Array, Batches


def recall_batches(seed: int, size: tuple[int, int, int], vocabulary: int) -> Batches:
    """Multi-query associative recall (Zoology, 2312.04927), easy and hard episodes mixed.

    An episode is `k1 v1 ... kn vn` followed by the keys in another order, each before its value;
    only the predictions of those values count. A row holds as many episodes of one n as fit, with
    n drawn from 2, 4, ... `pairs`: alone, large n is learned in one late jump whose moment is
    mostly luck, which would drown what a design contributes. Keys come from the lower half of the
    vocabulary, without repetition in an episode, values from the upper half. `size` is (steps,
    rows, pairs); a row has 4 * pairs tokens.
    """
    steps, rows, pairs = size
    generator = np.random.default_rng([seed, 2])
    levels = [2**power for power in range(1, pairs.bit_length())]
    drawn = generator.integers(len(levels), size=steps * rows)
    tokens = np.empty((steps * rows, 4 * pairs), np.uint16)
    mask = np.zeros((steps * rows, 4 * pairs), np.uint8)
    for index, level in enumerate(levels):
        chosen = np.flatnonzero(drawn == index)
        episodes = _episodes(generator, len(chosen) * (pairs // level), level, vocabulary)
        tokens[chosen] = episodes.reshape(len(chosen), 4 * pairs)
        answers = np.arange(4 * pairs) % (4 * level)
        mask[chosen] = (answers > 2 * level) & (answers % 2 == 1)
    shape = (steps, rows, 4 * pairs)
    return Batches(tokens.reshape(shape), np.ascontiguousarray(mask.reshape(shape)[..., 1:]))


def _episodes(generator: np.random.Generator, count: int, pairs: int, vocabulary: int) -> Array:
    half = vocabulary // 2
    keys = generator.random((count, half)).argsort(-1)[:, :pairs]
    values = generator.integers(half, vocabulary, size=(count, pairs))
    order = generator.random((count, pairs)).argsort(-1)
    again = np.stack([np.take_along_axis(a, order, -1) for a in (keys, values)], -1)
    told = np.stack([keys, values], -1)
    return np.concatenate([told, again], 1).reshape(count, 4 * pairs)


def recall_surprises(batches: Batches) -> Array:
    """Mark [.., T] the targets of recall that nobody can foresee: values told for the first time.

    Each is drawn uniformly from half of the vocabulary, so its entropy is log(vocabulary / 2).
    """
    position = np.arange(batches.mask.shape[-1]) + 1
    surprises: Array = (position % 2 == 1) & (batches.mask == 0)
    return surprises
