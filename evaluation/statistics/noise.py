"""How much a loss varies between seeds, and how well that is known."""

from __future__ import annotations

import math

from scipy.stats import chi2

from move37.evaluation.statistics.intervals import CONFIDENCE, Array, Interval
from move37.records import Finite, Value


class NoiseFloor(Value):
    """Mean and standard deviation of a loss over `seeds` seeds; `sd_interval` is of the latter."""

    mean: Finite
    sd: Finite
    seeds: int
    sd_interval: Interval


def noise_floor(losses: Array, confidence: float = CONFIDENCE) -> NoiseFloor:
    """Noise of one design from its losses [N] at N seeds.

    `(N - 1) s^2 / sigma^2` is chi-squared with N - 1 degrees of freedom, so the interval of sigma
    is `s sqrt((N - 1) / q)` at its two quantiles (Casella and Berger 2002, section 9.2). Eight
    seeds know sigma to within a factor of 0.66 to 2.04.

    Raises:
        ValueError: fewer than two seeds.
    """
    count = len(losses)
    if count < 2:
        raise ValueError("a spread needs two seeds at least")
    sd, free = float(losses.std(ddof=1)), count - 1
    tail = (1 - confidence) / 2
    low, high = (sd * math.sqrt(free / chi2.isf(q, free)) for q in (tail, 1 - tail))
    return NoiseFloor(
        mean=float(losses.mean()), sd=sd, seeds=count, sd_interval=Interval(low=low, high=high)
    )


def pooled_sd(groups: list[Array]) -> tuple[float, int]:
    """SD within groups of repeated losses, and its degrees of freedom (one-way ANOVA).

    `sqrt(sum of squared deviations from the group's mean / sum of (n_g - 1))`. Each design that
    was repeated teaches something of a noise that all share.

    Raises:
        ValueError: no group has two losses.
    """
    free = sum(len(group) - 1 for group in groups)
    if free < 1:
        raise ValueError("a spread needs a group of two losses at least")
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return math.sqrt(squares / free), free
