"""Selective copy: repeat the few tokens that matter, in order, and not the noise between them.

Source: MAD (2403.17844, section 3), after Mamba (2312.00752, section 3.1).
"""

from __future__ import annotations

import math

import numpy as np

from move37.evaluation.data import Array
from move37.evaluation.skills.rows import Rows, build_rows

NOISE_TOKENS = 8


def selective_copy(seed: int, rows: int, length: int, letters: int) -> Rows:
    """Draw a text with length // 4 letters amid noise, a separator, and the letters again.

    Letters have the ids 0 ... letters - 1, then come those of noise, then the separator. An answer
    costs nothing. In the text, with m letters still to come on n places, the next token is a
    letter with p = m / n, so it costs at least H(p) + p log(letters) + (1 - p) log(noise tokens).
    Chance is log(letters).
    """
    copied = length // 4
    text = length - 1 - copied
    generator = np.random.default_rng([seed, 41])
    places = np.sort(generator.random((rows, text)).argsort(-1)[:, :copied], -1)
    content = generator.integers(letters, size=(rows, copied))
    noise = letters + generator.integers(NOISE_TOKENS, size=(rows, text))
    is_letter = np.zeros((rows, text))
    np.put_along_axis(noise, places, content, -1)
    np.put_along_axis(is_letter, places, 1.0, -1)
    separator = np.full((rows, 1), letters + NOISE_TOKENS)
    tokens = np.concatenate([noise, separator, content], 1)
    counts, floor = np.zeros(tokens.shape), np.zeros(tokens.shape)
    counts[:, text + 1 :] = 1
    left = copied - is_letter.cumsum(-1) + is_letter
    floor[:, :text] = _entropy(left / np.arange(text, 0, -1), letters)
    return build_rows(tokens, counts, floor)


def _entropy(share: Array, letters: int) -> Array:
    """Return the entropy in nats of a token that is a letter with probability `share`."""
    letter, noise = (
        p * (math.log(n) - np.log(np.where(p > 0, p, 1.0)))
        for p, n in ((share, letters), (1 - share, NOISE_TOKENS))
    )
    entropy: Array = letter + noise
    return entropy
