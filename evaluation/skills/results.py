"""What is measured of a skill: one run, and the runs of a design beside those of the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from move37.records import Failed, Finite, GateReport, Noise, Value

# Losses of this many steps make one smoothed one: about 5 % of a run, and no more than its noise.
SMOOTHED_STEPS = 20


class Capacity(Value):
    """Recall at one number of pairs: loss in nats a scored token, share of right answers."""

    pairs: int
    loss: Finite
    accuracy: Finite
    tokens: int


class SkillRun(Value):
    """One source trained on one skill at one seed, scored by the trusted process.

    `loss`, `floor` and `chance` are in nats a scored token. `steps` is the first step at which the
    smoothed training loss had closed half of the gap between chance and floor, None when none had:
    the box tells that loss, so it is a claim. `audit` holds the checks of the trained weights.
    """

    kind: Literal["run"] = "run"
    skill: str
    seed: int
    loss: Finite
    floor: Finite
    chance: Finite
    accuracy: Finite
    tokens: int
    steps: int | None
    capacity: tuple[Capacity, ...]
    audit: GateReport
    cpu_seconds: Finite


SkillOutcome = Annotated[SkillRun | Failed, Field(discriminator="kind")]


class SkillResult(Value):
    """One skill at several seeds, beside the baseline at the same seeds.

    `difference` is loss minus the baseline's loss, paired by seed; negative is better.
    """

    kind: Literal["result"] = "result"
    skill: str
    chance: Finite
    floor: Finite
    loss: Noise
    baseline: Noise
    difference: Noise
    accuracy: Finite
    steps: tuple[int | None, ...]
    baseline_steps: tuple[int | None, ...]
    capacity: tuple[Capacity, ...]
    baseline_capacity: tuple[Capacity, ...]

    @property
    def excess(self) -> float:
        """Mean held-out loss over the floor."""
        return self.loss.mean - self.floor


class SkillFailed(Value):
    """A skill that could not be measured, with the seed at which that was seen."""

    kind: Literal["failed"] = "failed"
    skill: str
    seed: int
    outcome: Failed


def steps_to_threshold(losses: Sequence[float], threshold: float) -> int | None:
    """Return the first step (from 1) at which the mean of the last losses is at most `threshold`.

    The mean is over `SMOOTHED_STEPS`, so no step before that many is named.
    """
    if len(losses) < SMOOTHED_STEPS:
        return None
    total = np.cumsum([0.0, *losses])
    smoothed = (total[SMOOTHED_STEPS:] - total[:-SMOOTHED_STEPS]) / SMOOTHED_STEPS
    (below,) = np.nonzero(smoothed <= threshold)
    return int(below[0]) + SMOOTHED_STEPS if below.size else None


def summarise(runs: Sequence[SkillRun], baseline: Sequence[SkillRun]) -> SkillResult:
    """Join the runs of one skill, paired by seed; at least two.

    Raises:
        ValueError: the seeds are not the same.
    """
    if [run.seed for run in runs] != [run.seed for run in baseline]:
        raise ValueError("candidate and baseline were run at other seeds")
    ours, theirs = (np.array([run.loss for run in part]) for part in (runs, baseline))
    return SkillResult(
        skill=runs[0].skill,
        chance=runs[0].chance,
        floor=runs[0].floor,
        loss=_spread(ours),
        baseline=_spread(theirs),
        difference=_spread(ours - theirs),
        accuracy=float(np.mean([run.accuracy for run in runs])),
        steps=tuple(run.steps for run in runs),
        baseline_steps=tuple(run.steps for run in baseline),
        capacity=_mean_capacity(runs),
        baseline_capacity=_mean_capacity(baseline),
    )


def _spread(values: np.ndarray) -> Noise:
    return Noise(mean=values.mean(), sd=values.std(ddof=1), seeds=len(values))


def _mean_capacity(runs: Sequence[SkillRun]) -> tuple[Capacity, ...]:
    points = zip(*(run.capacity for run in runs), strict=True)
    return tuple(
        Capacity(
            pairs=same[0].pairs,
            loss=float(np.mean([point.loss for point in same])),
            accuracy=float(np.mean([point.accuracy for point in same])),
            tokens=sum(point.tokens for point in same),
        )
        for same in points
    )
