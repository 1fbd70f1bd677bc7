"""How well a small tier predicts a large one, over the designs that ran at both."""

from __future__ import annotations

import numpy as np
from scipy.stats import kendalltau

from move37.evaluation.statistics.intervals import Array, Interval, bootstrap_interval
from move37.records import Finite, Value

RESAMPLES = 1000


class Figure(Value):
    """A figure of the ledger with its bootstrap interval."""

    value: Finite
    interval: Interval


class Fidelity(Value):
    """One line of the ledger: `designs` ran at both tiers; the best `kept` would be promoted."""

    designs: int
    kept: int
    kendall: Figure
    accuracy: Figure
    regret: Figure

    @property
    def trusted(self) -> bool:
        """Whether the smaller tier decides pairs better than a coin, by its interval."""
        return self.accuracy.interval.low > 0.5


def fidelity(small: Array, large: Array, kept: int, seed: int = 0) -> Fidelity:
    """Compare losses [N] of the same designs at two tiers; designs are resampled.

    Raises:
        ValueError: fewer than three designs, or a `kept` that is none or all of them.
    """
    if len(small) < 3 or not 0 < kept < len(small):
        raise ValueError("fidelity needs three designs at least, and some that are not kept")

    def regret_of_kept(small: Array, large: Array) -> float:
        return regret(small, large, kept)

    found = {
        name: Figure(
            value=statistic(small, large),
            interval=bootstrap_interval((small, large), statistic, seed, resamples=RESAMPLES),
        )
        for name, statistic in (
            ("kendall", kendall),
            ("accuracy", decision_accuracy),
            ("regret", regret_of_kept),
        )
    }
    return Fidelity(designs=len(small), kept=kept, **found)


def kendall(small: Array, large: Array) -> float:
    """Kendall's (1945) tau-b of two rows of losses [N]; 0 where one row is all ties."""
    if np.ptp(small) == 0 or np.ptp(large) == 0:
        return 0.0
    return float(kendalltau(small, large).statistic)


def decision_accuracy(small: Array, large: Array) -> float:
    """Share of pairs that both rows [N] order alike; pairs that tie in one count half.

    Pairs that tie in both are left out: in a resample they are one design drawn twice. With no
    pair left it is 1/2, which decides nothing.
    """
    first, second = np.triu_indices(len(small), 1)
    ours, theirs = np.sign(small[first] - small[second]), np.sign(large[first] - large[second])
    counted = (ours != 0) | (theirs != 0)
    return float(np.mean(0.5 + ours[counted] * theirs[counted] / 2)) if counted.any() else 0.5


def regret(small: Array, large: Array, kept: int) -> float:
    """Nats that are lost at the large tier when only the best `kept` of the small one go there.

    `min over the kept of large - min over all of large` (simple regret).
    """
    chosen = np.argsort(small, kind="stable")[:kept]
    return float(large[chosen].min() - large.min())
