"""Memorisation: facts that hold in all rows must be kept in the weights, for no row tells them.

Source: MAD's memorisation task (2403.17844, section 3). There a key is one token, which the
embedding and the MLP solve without the mixer; here it is a pair, which the mixer must join.
"""

from __future__ import annotations

import math

import numpy as np

from move37.evaluation.skills.rows import Rows, build_rows


def memorised(seed: int, rows: int, length: int, names: int, secret: int) -> Rows:
    """Draw facts `a b v` with v = table[a, b], the table drawn from the secret seed.

    A row holds length / 3 facts, drawn anew with repetition; `names` is the number of a, of b and
    of v. Given the table an answer costs nothing, a and b cost log(names) each; so they are exact.
    Chance is log(names).

    Raises:
        ValueError: the length is no multiple of three.
    """
    if length % 3:
        raise ValueError(f"length {length} is not a multiple of 3")
    table = np.random.default_rng(secret).integers(names, size=(names, names))
    generator = np.random.default_rng([seed, 61])
    a, b = generator.integers(names, size=(2, rows, length // 3))
    tokens = np.stack([a, names + b, 2 * names + table[a, b]], -1)
    answers = np.broadcast_to(np.array([0.0, 0.0, 1.0]), tokens.shape)
    floor = np.where(answers > 0, 0.0, math.log(names))
    return build_rows(*(part.reshape(rows, length) for part in (tokens, answers, floor)))
