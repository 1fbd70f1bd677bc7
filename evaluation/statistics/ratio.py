"""A ratio of sums over items, and its standard error."""

from __future__ import annotations

import math

import numpy as np

from move37.evaluation.statistics.intervals import Array
from move37.records import Finite, Value


class Estimate(Value):
    """A figure over items and its standard error: what other items of the kind would change."""

    mean: Finite
    se: Finite


def ratio_of_sums(values: Array, weights: Array) -> Estimate:
    """Estimate `R = sum(v) / sum(w)` over items [N]: bits a byte, or a mean where all w are 1.

    Cochran (Sampling Techniques, 1977, eq. 6.13): with residuals `e = v - R w` the variance is
    `N / (N - 1) sum(e^2) / sum(w)^2` to first order. With weights of 1 that is `s / sqrt(N)`.

    Raises:
        ValueError: fewer than two items, or no weight.
    """
    count, total = len(values), float(weights.sum())
    if count < 2 or total <= 0:
        raise ValueError("a standard error needs two items at least, and some weight")
    ratio = float(values.sum()) / total
    rest = values - ratio * weights
    variance = count / (count - 1) * float(np.square(rest).sum())
    return Estimate(mean=ratio, se=math.sqrt(variance) / total)
