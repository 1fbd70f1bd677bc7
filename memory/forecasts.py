"""The judge on probation: what its predictions rest on, how they came out, what they earned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from move37.evaluation.statistics.agreement import retest_reliability, spearman
from move37.evaluation.statistics.intervals import Array, Interval, bootstrap_interval
from move37.memory.lessons import Origin, changed_from
from move37.records import Experiment, Finite, Measured, Value

# Fewer outcomes order themselves by luck: four do so in one of 24 cases.
FEWEST_OUTCOMES = 10
PROBATION = 30
PROBATION_WEIGHT = 0.1
LEAST_RELIABILITY = 0.8
# What a judge that orders all designs rightly may count for: half of what text counts for.
HIGHEST_WEIGHT = 0.3
RESAMPLES = 1000
# Under this name stand children that differ from their parents by no mechanism.
RETUNED = "retuned"


class TrackRecord(Value):
    """How a judge's predictions have come out so far, and the weight that they earned it.

    `reliability` is ICC(2,1) of its scorings over all `forecasts` (`retest_reliability`), `rank`
    Spearman's correlation of predicted and measured gain over the `outcomes`, with its bootstrap
    interval; None while there are too few to say.
    """

    forecasts: int
    outcomes: int
    reliability: Finite | None
    rank: Finite | None
    interval: Interval | None

    @property
    def weight(self) -> float:
        """`0.3 max(0, low)`, `low` the lower end of the interval of the rank correlation.

        The lower end, because a weight is earned by skill that was shown: it grows with the skill
        and with the number of outcomes that show it, and a judge without skill has none. At most
        0.1 until 30 outcomes; 0 before ten, and where the judge does not agree with itself.
        """
        if self.interval is None or self.reliability is None:
            return 0.0
        if self.reliability < LEAST_RELIABILITY or self.outcomes < FEWEST_OUTCOMES:
            return 0.0
        earned = HIGHEST_WEIGHT * max(0.0, self.interval.low)
        return min(PROBATION_WEIGHT, earned) if self.outcomes < PROBATION else earned


def track_record(experiments: Sequence[Experiment], seed: int) -> TrackRecord:
    """Hold the judge's predictions against what was measured, of all arms: it is one judge.

    A gain counts from what was believed of the parent when it was predicted, not from the parent's
    measured loss: a parent chosen for its luck makes every child look worse.
    """
    ordered = sorted(experiments, key=lambda e: e.number)
    scorings = [[p.gain for p in e.forecast.scorings] for e in ordered if e.forecast]
    pairs = [
        (e.forecast.gain, e.forecast.parent.mean - e.outcome.loss())
        for e in ordered
        if e.forecast and isinstance(e.outcome, Measured)
    ]
    found = np.array(pairs).reshape(-1, 2)
    told, came = found[:, 0], found[:, 1]
    enough = len(pairs) > 2
    return TrackRecord(
        forecasts=len(scorings),
        outcomes=len(pairs),
        reliability=_reliability(scorings),
        rank=spearman(told, came) if enough else None,
        interval=_interval(told, came, seed) if enough else None,
    )


def gains_by_change(
    history: Sequence[Experiment], root_loss: float, origin: Origin
) -> dict[str, tuple[float, ...]]:
    """Return for each change (`+tag`, `-tag`, or `retuned`) what children that made it gained.

    Gains are falls of text loss against the parent's measured loss, in nats, in order of numbers.
    """
    known = {one.number: one for one in history}
    losses = {0: root_loss} | {
        one.number: one.outcome.loss() for one in history if isinstance(one.outcome, Measured)
    }
    found: dict[str, list[float]] = defaultdict(list)
    for number in sorted(known.keys() & losses.keys()):
        child = known[number]
        if child.parent not in losses:
            continue
        changed = changed_from(known.get(child.parent), child, origin) or (RETUNED,)
        for change in changed:
            found[change].append(losses[child.parent] - losses[number])
    return {change: tuple(gains) for change, gains in sorted(found.items())}


def _reliability(scorings: list[list[float]]) -> float | None:
    # Records of two ways to ask cannot be held against one another.
    alike = [one for one in scorings if len(one) == len(scorings[-1])]
    return retest_reliability(np.array(alike)) if len(alike) > 2 else None


def _interval(told: Array, came: Array, seed: int) -> Interval:
    return bootstrap_interval((told, came), spearman, seed, resamples=RESAMPLES)
