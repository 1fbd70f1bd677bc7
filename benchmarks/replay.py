"""Early stopping replayed on stored curves: what became of each design, and what that is worth."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from benchmarks.curves import TIER, Run
from move37.evaluation.pruning import (
    Past,
    Plan,
    Rule,
    checks,
    is_spared,
    reason_to_stop,
    smoothed,
    window_of,
)
from move37.evaluation.saving import TOP
from move37.evaluation.standing import TASK
from move37.evaluation.statistics.intervals import Array, bootstrap_interval
from move37.evaluation.tiers import load_tier

BATCH = 2
# Designs of a stretch of a campaign, by whose saving the cost of its start is seen.
STRETCH = 12


@dataclass(frozen=True)
class Replay:
    """What became of designs [N] in replays [R]: steps made, and whether they ended.

    `place` is that of each design in the order, `would_stop` marks those that only the lot saved.
    """

    made: Array
    ended: Array
    place: Array
    would_stop: Array

    def of(self, designs: Sequence[int]) -> Replay:
        """Return it for some of the designs."""
        told = (self.made, self.ended, self.place, self.would_stop)
        return Replay(*(column[:, designs] for column in told))


def replay(runs: Sequence[Run], rule: Rule, orders: int) -> Replay:
    """Let the runs come in random orders, each held to those of the batches before its own."""
    shape = (orders, len(runs))
    found = Replay(*(np.zeros(shape) for _ in range(4)))
    window = window_of(rule, len(runs[0].losses))
    curves = [smoothed(run.losses, window) for run in runs]
    for number in range(orders):
        order = random.Random(f"replay:{number}").sample(range(len(runs)), len(runs))
        past: list[Past] = []
        for first in range(0, len(order), BATCH):
            held_to = checks(rule, past, len(curves[0]))
            for place, design in enumerate(order[first : first + BATCH], start=first):
                spared = is_spared(rule, f"{number}:{design}")
                step = _stop(Plan(window=window, checks=held_to), runs[design])
                ended = spared or step is None
                losses = curves[design] if ended else curves[design][:step]
                past.append(Past(losses, runs[design].held_out[TASK] if ended else math.inf))
                found.made[number, design] = runs[design].steps if ended else len(losses)
                found.ended[number, design] = ended
                found.place[number, design] = place
                found.would_stop[number, design] = spared and step is not None
    return found


def _stop(plan: Plan, run: Run) -> int | None:
    """Return the step at which a run is stopped, if it is."""
    steps = sorted({check.step for check in plan.checks})
    return next((step for step in steps if reason_to_stop(plan, list(run.losses[:step]))), None)


def top_of(runs: Sequence[Run], score: Array) -> list[int]:
    """Return the best quarter of the designs, by a score [N] that is best at its lowest."""
    return [int(place) for place in np.argsort(score)[: math.ceil(TOP * len(runs))]]


def report(runs: Sequence[Run], found: Replay) -> tuple[float, float]:
    """Print what a replay saved and lost; return the share of steps saved and the recall.

    Intervals are 95 %, by bootstrap over designs of their means over orders.
    """
    text = text_of(runs)
    top, best = top_of(runs, text), int(np.argmin(text))
    steps = np.array([run.steps for run in runs], float)
    saved, recall = 1 - found.made.mean(0) / steps, found.ended[:, top].mean(0)
    regret = [min(text[ended > 0]) - text[best] for ended in found.ended]
    print(f"training steps saved: {_interval(saved)}")
    print(f"recall of the top quarter ({len(top)} designs, text): {_interval(recall)}")
    low, high = np.quantile(found.ended[:, top].mean(1), (0.025, 0.975))
    print(f"  over orders: 95 % from {low:.2f} to {high:.2f}")
    print(f"regret: {np.mean(regret):.5f} nats on average, {max(regret):.5f} at most")
    print(f"the best design was lost in {1 - found.ended[:, best].mean():.1%} of the orders")
    both = top_of(runs, _both(runs))
    told = _interval(found.ended[:, both].mean(0))
    print(f"recall of the top quarter by text and recall as the fitness weighs them: {told}")
    for first in range(0, len(runs), STRETCH):
        last = min(first + STRETCH, len(runs))
        here = (found.place >= first) & (found.place < first + STRETCH)
        share = 1 - found.made[here].mean() / steps.mean()
        print(f"  saved among designs {first + 1} to {last}: {share:.1%}")
    stopped = found.would_stop > 0
    lost = stopped[:, top].sum() / max(1, stopped.sum())
    print(f"spared runs that would have been stopped and ended in the top quarter: {lost:.1%}")
    return float(saved.mean()), float(recall.mean())


def _interval(values: Array) -> str:
    told = bootstrap_interval((values,), np.mean, seed=0)
    return f"{values.mean():.1%} ({told.low:.1%} to {told.high:.1%})"


def text_of(runs: Sequence[Run]) -> Array:
    """Return the held-out losses [N] on text."""
    return np.array([run.held_out[TASK] for run in runs])


def _both(runs: Sequence[Run]) -> Array:
    """Return text and recall in units of the tier's tau, weighted as in the calibrated fitness."""
    tier, total = load_tier(TIER), np.zeros(len(runs))
    for task, spec in (("text", tier.text), ("recall", tier.recall)):
        losses = np.array([run.held_out[task] for run in runs])
        total += spec.weight * norm.cdf((losses - np.median(losses)) / (2 * spec.tau))
    return total
