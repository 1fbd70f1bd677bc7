"""Associative recall in four kinds: plain, with overwritten keys, amid noise, with spelt keys.

Values are drawn uniformly and independently, so a value told for the first time costs at least
log(number of values), and an answer costs nothing: both floors are exact. Chance is a uniform
guess among all values, log(number of values).

Sources: multi-query associative recall is Zoology's (2312.04927); noisy and fuzzy recall are
MAD's (2403.17844, section 3); that a key may be written again is what the delta rule is for.
"""

from __future__ import annotations

import math

import numpy as np

from move37.evaluation import data
from move37.evaluation.data import Array
from move37.evaluation.skills.rows import Rows, build_rows, items_in, levels_up_to

# Few enough that each is met often, so that telling noise from keys is soon learned.
NOISE_TOKENS = 8
# Tokens of an episode for each of its pairs.
PLAIN, OVERWRITTEN, NOISY, FUZZY = 4, 5, 5, 6


def plain(seed: int, rows: int, length: int, values: int) -> Rows:
    """Draw the rows of the tiers' recall task (`data.recall_batches`); tokens are 2 `values`."""
    pairs = items_in(length, PLAIN)
    drawn = data.recall_batches(seed, (1, rows, pairs), 2 * values)
    told = data.recall_surprises(drawn)[0]
    floor = np.where(told, math.log(values), np.nan)
    floor[drawn.mask[0] > 0] = 0.0
    return Rows(drawn.tokens[0], drawn.mask[0], floor)


def pairs_of(rows: Rows) -> Array:
    """Return the number of pairs [N] of the episodes in each row of `plain`."""
    # The first answer follows n pairs and its own key; the mask has lost the first token.
    first: Array = rows.mask.argmax(-1) // 2
    return first


def fuzzy(seed: int, rows: int, length: int, letters: int) -> Rows:
    """Draw plain recall with every key spelt in two of `letters` letters: `a b v`.

    Keys share their letters, so that one alone does not tell the key. Values are not spelt, and
    there are as many as keys: letters squared.
    """
    pairs = items_in(length, FUZZY)
    source = plain(seed, rows, PLAIN * pairs, letters**2)
    keys, values = _pairs(source.tokens)
    spelt = np.stack([keys // letters, keys % letters, values - letters**2 + letters], -1)
    counts, floor = np.zeros(spelt.shape), np.full(spelt.shape, np.nan)
    counts[..., 2], floor[..., 2] = source.mask[:, ::2], source.floor[:, ::2]
    return build_rows(*(part.reshape(rows, -1) for part in (spelt, counts, floor)))


def noisy(seed: int, rows: int, length: int, values: int) -> Rows:
    """Draw plain recall with one token of noise for every four, at random places between pairs."""
    noise = items_in(length, NOISY)
    source = plain(seed, rows, PLAIN * noise, values)
    generator = np.random.default_rng([seed, 31])
    pairs = 2 * noise
    # Which of the units of a row are pairs; the others are noise.
    chosen = np.sort(generator.random((rows, pairs + noise)).argsort(-1)[:, :pairs], -1)
    # Before the i-th pair (from 0) stand i pairs and chosen[i] - i tokens of noise.
    start = chosen + np.arange(pairs)
    tokens = 2 * values + generator.integers(NOISE_TOKENS, size=(rows, length))
    counts, floor = np.zeros(tokens.shape), np.full(tokens.shape, np.nan)
    for offset, part in enumerate(_pairs(source.tokens)):
        np.put_along_axis(tokens, start + offset, part, -1)
    np.put_along_axis(counts, start + 1, source.mask[:, ::2].astype(float), -1)
    np.put_along_axis(floor, start + 1, source.floor[:, ::2], -1)
    return build_rows(tokens, counts, floor)


def overwritten(seed: int, rows: int, length: int, values: int) -> Rows:
    """Draw recall in which half of the keys are told twice, and the later value counts.

    An episode of n keys: n + n/2 tellings `k v` in random order, then all keys in random order,
    each before its last value. A row holds as many episodes of one n as fit, n from 2, 4, ...
    """
    most = items_in(length, OVERWRITTEN)
    generator = np.random.default_rng([seed, 32])
    levels = levels_up_to(most)
    drawn = generator.integers(len(levels), size=rows)
    tokens = np.empty((rows, length), np.int64)
    counts, floor = np.zeros(tokens.shape), np.full(tokens.shape, np.nan)
    for index, keys in enumerate(levels):
        chosen = np.flatnonzero(drawn == index)
        episodes = _rewritten(generator, len(chosen) * (most // keys), keys, values)
        tokens[chosen] = episodes.reshape(len(chosen), length)
        place = np.arange(length) % (OVERWRITTEN * keys)
        value, answer = place % 2 == 1, place >= 3 * keys
        counts[chosen] = value & answer
        floor[chosen] = np.where(value, np.where(answer, 0.0, math.log(values)), np.nan)
    return build_rows(tokens, counts, floor)


def _rewritten(generator: np.random.Generator, count: int, keys: int, values: int) -> Array:
    """Return episodes [count, 5 keys] of `overwritten`."""
    names = generator.random((count, values)).argsort(-1)[:, :keys]
    # Each key once, and the first half again; the names are in random order already.
    writes = np.tile(np.r_[np.arange(keys), np.arange(keys // 2)], (count, 1))
    writes = generator.permuted(writes, axis=1)
    told = generator.integers(values, 2 * values, size=writes.shape)
    last = np.empty((count, keys), np.int64)
    for time in range(writes.shape[1]):
        last[np.arange(count), writes[:, time]] = told[:, time]
    order = generator.random((count, keys)).argsort(-1)
    asked = (np.take_along_axis(a, order, -1) for a in (names, last))
    telling = np.stack([np.take_along_axis(names, writes, -1), told], -1)
    return np.concatenate([telling, np.stack([*asked], -1)], 1).reshape(count, OVERWRITTEN * keys)


def _pairs(tokens: Array) -> tuple[Array, Array]:
    """Split rows of plain recall [N, 2 P] into keys and values [N, P]."""
    wide = tokens.astype(np.int64)
    return wide[:, ::2], wide[:, 1::2]
