"""Which runs are stopped before their end: those that lag behind earlier runs at the same step.

All candidates of a campaign train on the same batches in the same order, so that losses at one step
are paired: what the batch does to both cancels. A run is looked at a few times, and stopped when
its smoothed loss is worse than a share of all earlier runs had (successive halving, Jamieson and
Talwalkar 2016), or when the final loss that its curve foretells (`move37.evaluation.forecast`) is.
A few, drawn by lot, are never stopped, so that what the rule costs stays measurable.

The losses are told by the candidates' processes. They only ever stop a run: one that tells too low
a loss escapes, is held to its true held-out loss in the end, and moves the cut for others by one
rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from move37.evaluation.forecast import Line, features, fit
from move37.evaluation.standing import TASK
from move37.evaluation.statistics.intervals import Array
from move37.records import Baseline, CurvePoint, Experiment, Failed, Finite, Measured, Value, lot

# Longer than any warm-up of a tier: early on, the rate decides who is ahead, not the design.
WARM = 0.1


class Look(Value):
    """When a run is looked at, in shares of its steps, and the share of all runs that goes on."""

    at: Finite = Field(gt=WARM, le=1)
    kept: Finite = Field(gt=0, le=1)


class Rule(Value):
    """How runs are stopped early.

    Nothing is stopped before there are `fewest` earlier runs to compare with. The share `spared` of
    the runs is never stopped. Losses are smoothed over the share `smoothing` of the steps. At each
    look a run is also stopped when its final loss, as foretold, is worse than that of the share
    `good` of all runs, by more than `margin` standard deviations of the forecast's error.
    """

    looks: tuple[Look, ...] = Field(min_length=1)
    good: Finite = Field(gt=0, le=1)
    margin: Finite = Field(ge=0)
    spared: Finite = Field(default=0.05, ge=0, le=1)
    fewest: int = Field(default=5, ge=2)
    smoothing: Finite = Field(default=0.02, gt=0, le=1)


# Chosen among 60 on the first 29 of the stored curves (`benchmarks/early_stopping.py`): of those
# that keep 95 % of the best quarter, the one that saves most. On all 64 it keeps 96 %, saves half.
RULE = Rule(
    looks=(Look(at=0.2, kept=0.5), Look(at=0.3, kept=0.4), Look(at=0.5, kept=0.3)),
    good=0.3,
    margin=1.5,
)


class Cut(Value):
    """At this step, the largest smoothed loss with which a run goes on, in nats per token."""

    kind: Literal["cut"] = "cut"
    step: int
    largest: Finite
    runs: int


class Forecast(Value):
    """At this step, what foretells the final loss, and the largest with which a run goes on.

    `spacing` is the distance in steps of the losses that go into it; a run goes on when the
    foretold loss minus `margin` (nats) is at most `largest`.
    """

    kind: Literal["forecast"] = "forecast"
    step: int
    spacing: int
    line: Line
    margin: Finite
    largest: Finite
    runs: int


class Plan(Value):
    """When one run is to be stopped: plain numbers, so that a job depends on nothing else.

    `window` is that of the smoothing, in steps. The checks of a spared run are made and noted, and
    do not stop it.
    """

    window: Finite = Field(ge=1)
    checks: tuple[Annotated[Cut | Forecast, Field(discriminator="kind")], ...]
    spared: bool = False


@dataclass(frozen=True)
class Past:
    """An earlier run: its smoothed losses [S] as far as it came, and its final held-out loss.

    A run that was stopped has an infinite final loss: it counts as worse than all that ended.
    """

    losses: Array
    final: float


def smoothed(losses: Sequence[float] | Array, window: float) -> Array:
    """Exponential moving average [S] of losses [S] with decay `1 - 1 / window`.

    Divided by the sum of its weights, so that the start does not count as zero (Kingma and Ba
    2015, section 3).
    """
    raw = np.asarray(losses, float)
    decay = 1.0 - 1.0 / window
    sums = accumulate(raw, lambda total, loss: decay * total + loss)
    weights = accumulate(np.ones(len(raw)), lambda total, one: decay * total + one)
    return np.array([total / weight for total, weight in zip(sums, weights, strict=True)])


def window_of(rule: Rule, steps: int) -> float:
    """Return the window of a rule's smoothing in a run of so many steps."""
    return max(1.0, rule.smoothing * steps)


def is_spared(rule: Rule, identity: str) -> bool:
    """Whether the lot falls on the run of this id."""
    return lot("spared", identity) < rule.spared


def checks(rule: Rule, past: Sequence[Past], steps: int) -> tuple[Cut | Forecast, ...]:
    """Return what a run of so many steps is held to, after these earlier runs."""
    if len(past) < rule.fewest:
        return ()
    found: list[Cut | Forecast] = []
    for look in rule.looks:
        step = max(1, round(look.at * steps))
        found += _cut(look, past, step)
        found += _forecast(rule, past, step, steps)
    return tuple(found)


def _cut(look: Look, past: Sequence[Past], step: int) -> list[Cut]:
    here = [one.losses[step - 1] if len(one.losses) >= step else math.inf for one in past]
    largest = _largest(here, look.kept)
    if look.kept == 1 or not math.isfinite(largest):
        return []
    return [Cut(step=step, largest=largest, runs=len(past))]


def _forecast(rule: Rule, past: Sequence[Past], step: int, steps: int) -> list[Forecast]:
    ended = [one for one in past if math.isfinite(one.final)]
    largest = _largest([one.final for one in past], rule.good)
    if rule.good == 1 or len(ended) < rule.fewest or not math.isfinite(largest):
        return []
    spacing = max(1, round(WARM / 2 * steps))
    rows = np.array([features(one.losses, step, spacing) for one in ended])
    line = fit(rows, np.array([one.final for one in ended]))
    margin = rule.margin * line.sd
    told = {"step": step, "spacing": spacing, "margin": margin, "largest": largest}
    return [Forecast(line=line, runs=len(ended), **told)]


def _largest(values: Sequence[float], share: float) -> float:
    """Return the largest value of the better `share`, at least one."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


def reason_to_stop(plan: Plan, losses: Sequence[float]) -> str:
    """Say why a run with these raw losses [S] is not to go on after step S; empty: it is."""
    due = [check for check in plan.checks if check.step == len(losses)]
    if not due:
        return ""
    own = smoothed(losses, plan.window)
    return next((reason for check in due if (reason := _reason(check, own))), "")


def _reason(check: Cut | Forecast, own: Array) -> str:
    match check:
        case Cut(step=step, largest=largest, runs=runs):
            told = f"loss {own[-1]:.4f} at step {step}, smoothed"
            limit = f"at most {largest:.4f} goes on after {runs} runs at the same step"
            return f"{told}: {limit}" if own[-1] > largest else ""
        case Forecast(step=step, spacing=spacing, line=line, margin=margin, largest=largest):
            final = line.at(features(own, step, spacing))
            told = f"final loss foretold at step {step}: {final:.4f} - {margin:.4f} for its error"
            limit = f"at most {largest:.4f} goes on after {check.runs} runs that ended"
            return f"{told}: {limit}" if final - margin > largest else ""


def plan_for(
    identity: str,
    earlier: Iterable[Experiment],
    baseline: Baseline,
    rule: Rule = RULE,
) -> Plan:
    """Return the plan of the run of this id from the experiments that it may see, and no others.

    The baseline counts as one earlier run, though its curve is the mean over its seeds and so is
    not paired with the others'.
    """
    root = _losses(baseline.curve)
    window = window_of(rule, len(root))
    past = [Past(smoothed(root, window), baseline.noise[TASK].mean)]
    for one in earlier:
        if (run := _past(one.outcome, window)) is not None:
            past.append(run)
    found = checks(rule, past, len(root))
    return Plan(window=window, checks=found, spared=bool(found) and is_spared(rule, identity))


def _past(outcome: Measured | Failed | None, window: float) -> Past | None:
    """Return the run of an outcome; one that broke off for another reason is none."""
    match outcome:
        case Measured():
            return Past(smoothed(_losses(outcome.curve), window), outcome.loss(TASK))
        case Failed(stage="pruned"):
            return Past(smoothed(_losses(outcome.curve), window), math.inf)
        case _:
            return None


def _losses(curve: Sequence[CurvePoint]) -> list[float]:
    return [point.loss for point in curve if point.task == TASK]
