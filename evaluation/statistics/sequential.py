"""Tests that may be looked at after every seed and stopped at will.

An e-process has mean at most 1 under the null at every stopping time, so it ever reaches
`1 / alpha` with probability at most alpha (Ville 1939; Ramdas et al. 2023, arXiv 2210.01948).
"""

from __future__ import annotations

import math

import numpy as np

from move37.evaluation.statistics.intervals import Array

# Variance of the true effect in the mixture, in units of the noise.
RATIO = 0.5


def log_e_process(gains: Array, sd: float, ratio: float = RATIO) -> Array:
    """Log of the normal-mixture e-process after each of the gains [N], their SD known.

    `E_n = (1 + n r)^(-1/2) exp(r S_n^2 / (2 (1 + n r)))`, `S_n` the sum of `gain / sd` (Robbins
    1970; Howard et al. 2021, arXiv 1810.08240): the null against effects from `N(0, r sd^2)`.
    """
    count = np.arange(1, len(gains) + 1)
    total = np.cumsum(gains / sd)
    mixed = 1 + count * ratio
    return np.asarray(ratio * total**2 / (2 * mixed) - np.log(mixed) / 2)


def log_e_process_t(gains: Array, ratio: float = RATIO) -> Array:
    """Log of the t-mixture e-process after each of the gains [N], their SD unknown.

    `E_n = (1 + n r)^(-1/2) (1 - r S_n^2 / ((1 + n r) V_n))^(-n/2)` with `S_n` the sum of the gains
    and `V_n` that of their squares: the Bayes factor of the t-test under effects
    `N(0, r sigma^2)` and a right Haar prior on sigma (Lai 1976; Wang and Ramdas 2024, arXiv
    2310.03722). It is a martingale for whoever sees the gains up to their scale, so a rule that
    stops must be one on E itself. It is 1 after the first gain: one gain says nothing of its own
    noise.
    """
    count = np.arange(1, len(gains) + 1)
    total, squares = np.cumsum(gains), np.cumsum(gains**2)
    mixed = 1 + count * ratio
    # Gains of exactly zero so far have no scale: they speak for neither side.
    share = np.divide(total**2, squares, out=np.zeros(len(gains)), where=squares > 0)
    return np.asarray(-np.log(mixed) / 2 - count / 2 * np.log1p(-ratio * share / mixed))


def accepted_at(gains: Array, log_e: Array, alpha: float) -> int | None:
    """Return after how many gains "no better than the baseline" is refused, or None.

    The first n at which `E_n >= 1 / alpha` and the sum of the gains is positive. Both e-processes
    grow with gains of either sign; with the sign, this errs with probability at most alpha under
    every true gain of zero or less, since a shift of all gains upwards only ever helps.
    """
    crossed = (log_e >= -math.log(alpha)) & (np.cumsum(gains) > 0)
    return int(np.argmax(crossed)) + 1 if crossed.any() else None
