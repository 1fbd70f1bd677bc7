"""What early stopping saved in a campaign, and what the runs that it spared say of its cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from move37.evaluation.standing import TASK
from move37.records import Baseline, CurvePoint, Experiment, Failed, Finite, Measured, Value

# The share of designs that a campaign is about: what it loses of these is the cost.
TOP = 0.25


class Saving(Value):
    """Training steps that were made and that were planned, and how the spared runs ended.

    `planned` and `made` count the runs that ended or were stopped early (`pruned`). Of the `spared`
    ones `would_stop` had been stopped but for the lot, and of these `lost` ended in the top quarter
    of all runs: the lot is blind, so `lost / would_stop` estimates without bias how often a run
    that is stopped belonged there.
    """

    planned: int
    made: int
    pruned: int
    spared: int
    would_stop: int
    lost: int

    @property
    def share(self) -> Finite:
        """The share of training steps that was saved."""
        return 1.0 - self.made / self.planned if self.planned else 0.0


def saving(experiments: Sequence[Experiment], baseline: Baseline) -> Saving:
    """Count what a campaign saved; a full run makes as many steps as the baseline's."""
    ended = [one.outcome for one in experiments if isinstance(one.outcome, Measured)]
    pruned = [
        one.outcome
        for one in experiments
        if isinstance(one.outcome, Failed) and one.outcome.stage == "pruned"
    ]
    spared = [run for run in ended if run.spared]
    stopped = [run for run in spared if run.spared and run.spared.reason]
    # What was stopped counts as worse than all that ended.
    top = sorted(run.loss(TASK) for run in ended)[: math.ceil(TOP * (len(ended) + len(pruned)))]
    made = sum(_steps(run.curve) for run in ended) + sum(_steps(run.curve) for run in pruned)
    return Saving(
        planned=_steps(baseline.curve) * (len(ended) + len(pruned)),
        made=made,
        pruned=len(pruned),
        spared=len(spared),
        would_stop=len(stopped),
        lost=sum(run.loss(TASK) <= top[-1] for run in stopped),
    )


def told(found: Saving) -> str:
    """Return a saving in one sentence."""
    saved = f"{found.share:.0%} of {found.planned:,} training steps saved"
    text = f"{saved}; runs stopped early: {found.pruned}; spared by lot: {found.spared}"
    if not found.spared:
        return text
    of_them = f"{found.would_stop} would have been stopped and {found.lost} of these ended"
    return f"{text}, of which {of_them} in the top quarter"


def _steps(curve: Sequence[CurvePoint]) -> int:
    return sum(max(p.step for p in curve if p.task == task) for task in {p.task for p in curve})
