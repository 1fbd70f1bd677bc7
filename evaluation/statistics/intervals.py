"""An interval of plausible values, and the bootstrap that gives one for any statistic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, bootstrap

from move37.records import Finite, Value

Array = NDArray[np.float64]
CONFIDENCE = 0.95


class Interval(Value):
    """Both ends of an interval, in the unit of what it is about."""

    low: Finite
    high: Finite

    def holds(self, value: float) -> bool:
        """Whether a value lies inside, ends included."""
        return self.low <= value <= self.high


def share_interval(hits: int, count: int, confidence: float = CONFIDENCE) -> Interval:
    """Interval of a probability from `hits` among `count` independent tries.

    Clopper and Pearson (1934): it holds the truth at least as often as it says, also for no hit.

    Raises:
        ValueError: there was no try, or there are more hits than tries.
    """
    if not 0 <= hits <= count or count < 1:
        raise ValueError(f"{hits} hits among {count} tries have no share")
    found = binomtest(hits, count).proportion_ci(confidence, method="exact")
    return Interval(low=float(found.low), high=float(found.high))


def bootstrap_interval(
    columns: tuple[Array, ...],
    statistic: Callable[..., Any],
    seed: int,
    confidence: float = CONFIDENCE,
    resamples: int = 2000,
) -> Interval:
    """Percentile interval of `statistic(*columns)`; rows [N] of all columns are drawn together.

    Efron and Tibshirani (1993), chapter 13. The percentile form, because the accelerated one is
    undefined for statistics that do not move when a row is left out, as ranks often do not.

    Raises:
        ValueError: there are fewer than two rows, or columns of different lengths.
    """
    if len({len(column) for column in columns}) != 1 or len(columns[0]) < 2:
        raise ValueError("a bootstrap needs columns of one length, and two rows at least")
    found = bootstrap(
        columns,
        statistic,
        n_resamples=resamples,
        paired=True,
        vectorized=False,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(low=float(found.low), high=float(found.high))
