"""State tracking: the running sum of all inputs modulo m, asked for now and then.

Parity is m = 2. A mixer whose transitions have eigenvalues in [0, 1] only cannot solve it at every
length; parity needs -1, other moduli need a rotation, such as a product of two reflections gives.

Source: Grazzi et al. (2411.12537): parity and modular arithmetic, trained on short rows and tested
on longer ones.
"""

from __future__ import annotations

import math

import numpy as np

from move37.evaluation.skills.rows import Rows, build_rows


def longest_gap(length: int) -> int:
    """Return the largest power of two of inputs that can be asked about twice in a row.

    Raises:
        ValueError: the row is too short for even one input.
    """
    if length < 6:
        raise ValueError(f"length {length} is too short, at least 6 is needed")
    return 1 << (length // 2 - 2).bit_length() - 1


def running_sum(
    seed: int, rows: int, length: int, modulus: int, *, longest_only: bool = False
) -> Rows:
    """Draw rows that repeat: g inputs, a question, the sum of all inputs of the row so far.

    Inputs are 0 ... m - 1, the question is m, answers are m + 1 ... 2 m, so an earlier answer
    helps. Each row has one g, from 1, 2, 4, ... up to `longest_gap`, or that alone. An answer costs
    nothing; once the first answer has told g, an input costs log m and a question nothing. Chance
    is log m.
    """
    generator = np.random.default_rng([seed, 71])
    largest = longest_gap(length)
    powers = generator.integers(largest.bit_length(), size=(rows, 1))
    gap = np.full((rows, 1), largest) if longest_only else 2**powers
    period = gap + 2
    place = np.arange(length) % period
    is_input, is_answer = place < gap, place == gap + 1
    inputs = np.where(is_input, generator.integers(modulus, size=(rows, length)), 0)
    answers = modulus + 1 + inputs.cumsum(-1) % modulus
    tokens = np.where(is_input, inputs, np.where(is_answer, answers, modulus))
    floor = np.where(is_input, math.log(modulus), 0.0)
    floor[(np.arange(length) < period) & ~is_answer] = np.nan
    return build_rows(tokens, is_answer, floor)
