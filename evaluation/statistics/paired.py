"""A candidate against a baseline on the same seeds, data order and windows."""

from __future__ import annotations

import math

from scipy.stats import t

from move37.evaluation.statistics.intervals import CONFIDENCE, Array, Interval
from move37.records import Finite, Value


class Paired(Value):
    """Gain of a candidate in nats, its standard error, t interval and one-sided p-value."""

    gain: Finite
    se: Finite
    seeds: int
    interval: Interval
    p: Finite


def paired_gain(
    candidate: Array, baseline: Array, least: float = 0.0, confidence: float = CONFIDENCE
) -> Paired:
    """Compare losses [N] of both at the same N seeds; `p` is against "the gain is at most `least`".

    Student (1908): `(mean - least) / (s / sqrt(N))` of the differences is t with N - 1 degrees of
    freedom. What a seed does to both cancels, so this is sharper than comparing the means by as
    much as the two are correlated. Differences without any spread have p 0 above `least`, else 1:
    that is how two runs of one program compare on one machine.

    Raises:
        ValueError: fewer than two seeds, or not as many of each.
    """
    if candidate.shape != baseline.shape or len(candidate) < 2:
        raise ValueError("pairs need as many losses of each, and two at least")
    gains = baseline - candidate
    count, mean = len(gains), float(gains.mean())
    se = float(gains.std(ddof=1)) / math.sqrt(count)
    half = float(t.isf((1 - confidence) / 2, count - 1)) * se
    p = float(t.sf((mean - least) / se, count - 1)) if se > 0 else float(mean <= least)
    interval = Interval(low=mean - half, high=mean + half)
    return Paired(gain=mean, se=se, seeds=count, interval=interval, p=p)
