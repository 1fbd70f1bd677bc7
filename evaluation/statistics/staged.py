"""Seeds where they decide something: wide at one, a third at three, few on holdout seeds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from move37.evaluation.statistics.intervals import CONFIDENCE, Array, Interval
from move37.evaluation.statistics.noise import pooled_sd
from move37.evaluation.statistics.shrinkage import hierarchical_posterior
from move37.records import Finite, Value

Places = NDArray[np.int64]
# Gains [K, seeds] of the candidates at these places [K], on seeds that were not used before.
Measure = Callable[[Places, int], Array]
SHARE = 3
REPEATS = 3
HOLDOUT = 8


class Chosen(Value):
    """The finalist with the highest posterior gain, with its interval and what it all cost.

    `holdout` is the plain mean over the holdout seeds, of which no selection knew.
    """

    place: int
    gain: Finite
    interval: Interval
    holdout: Finite
    runs: int


def cost(count: int, finalists: int) -> int:
    """Runs that `staged` takes: one for each, two more for a third, eight for each finalist."""
    return count + (REPEATS - 1) * math.ceil(count / SHARE) + HOLDOUT * finalists


def staged(measure: Measure, count: int, finalists: int, confidence: float = CONFIDENCE) -> Chosen:
    """Find the best of `count` candidates by paired gains at one, three and eight more seeds.

    Successive halving (Karnin et al. 2013) in three rounds. The noise comes from
    all repeats. The gain is the posterior mean over all runs of all candidates, and its interval
    Student's t around that, so that neither is fooled by the choice of the best (Efron 2011):
    whoever takes the raw mean of the best claims too much.

    Raises:
        ValueError: more finalists than a third of the candidates, or fewer than four candidates.
    """
    promoted = math.ceil(count / SHARE)
    if count < 4 or not 0 < finalists <= promoted:
        raise ValueError(f"of {count} candidates, 1 to {promoted} can be finalists, if 4 or more")
    wide = measure(np.arange(count), 1)
    top = _best(wide[:, 0], promoted)
    runs = np.hstack([wide[top], measure(top, REPEATS - 1)])
    # Equal noise and one prior: shrinking does not change the order of these means.
    inner = _best(runs.mean(axis=1), finalists)
    last = measure(top[inner], HOLDOUT)
    # The first run of each was promoted for its size; the spread of the others was not.
    sd, free = pooled_sd([*runs[:, 1:], *last])
    sums, counts = wide[:, 0].copy(), np.ones(count)
    for places, more in ((top, runs[:, 1:]), (top[inner], last)):
        sums[places] += more.sum(axis=1)
        counts[places] += more.shape[1]
    means, variances = hierarchical_posterior(sums / counts, sd**2 / counts)
    finals = means[top[inner]]
    best = int(np.argmax(finals))
    place = int(top[inner][best])
    gain, spread = float(means[place]), math.sqrt(variances[place])
    half = float(t.isf((1 - confidence) / 2, free)) * spread
    return Chosen(
        place=place,
        gain=gain,
        interval=Interval(low=gain - half, high=gain + half),
        holdout=float(last[best].mean()),
        runs=cost(count, finalists),
    )


def _best(gains: Array, kept: int) -> Places:
    return np.argsort(-gains, kind="stable")[:kept]
