"""What many looks at noise do to the best of them, and how that is undone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, norm

from move37.evaluation.statistics.intervals import CONFIDENCE, Array, Interval
from move37.evaluation.statistics.shrinkage import hierarchical_posterior
from move37.records import Finite, Value


class Corrected(Value):
    """The best of `screened` candidates: its raw gain, and what is left of it with an interval."""

    place: int
    raw: Finite
    gain: Finite
    interval: Interval
    screened: int


def discoveries(p_values: Array, q: float = 0.05) -> NDArray[np.bool_]:
    """Which of the claims [N] stand when at most a share q of those that stand may be false.

    Benjamini and Hochberg (1995), for independent or positively dependent p-values, as claims
    against one baseline are.
    """
    if not len(p_values):
        return np.zeros(0, dtype=bool)
    return np.asarray(false_discovery_control(p_values, method="bh") <= q)


def correct_best(gains: Array, sd: float, confidence: float = CONFIDENCE) -> Corrected:
    """Take the winner's curse off the best of the screened gains [N], each with noise `sd`.

    The gain is the candidate's posterior mean when all true gains spread as one normal of unknown
    mean and spread (`hierarchical_posterior`), its interval normal around that. A posterior does
    not care how its candidate was chosen, so it holds for the best too (Dawid 1994; Efron 2011).

    Raises:
        ValueError: fewer than four candidates, which say too little of their spread.
    """
    place = int(np.argmax(gains))
    means, variances = hierarchical_posterior(gains, sd**2)
    gain = float(means[place])
    half = float(norm.isf((1 - confidence) / 2)) * math.sqrt(variances[place])
    interval = Interval(low=gain - half, high=gain + half)
    return Corrected(
        place=place, raw=float(gains[place]), gain=gain, interval=interval, screened=len(gains)
    )
