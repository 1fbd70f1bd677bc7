"""Pairs of known order before a judge that does not know which of the two is which.

The judge sees a first and a second design, in an order that a seed draws, and names the one with
the lower mean loss at the same seeds. Only then is the order told. What is right by more than
half, and how surely, is the decision accuracy of a tier.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from move37.evaluation.calibration.pairs import Pair, source_of
from move37.evaluation.calibration.runs import Job, Run, Runs
from move37.evaluation.statistics.intervals import Interval, share_interval
from move37.evaluation.statistics.paired import Paired, paired_gain
from move37.records import Failed, Provenance, Value

SEEDS = 3
# 11 of 12 at least.
LEAST_RIGHT = 11 / 12

Outcomes = Sequence[Run | Failed]


class Decided(Value):
    """Which of two designs is the better one, and the gain of that one over the other."""

    kind: Literal["decided"] = "decided"
    picked: Literal["first", "second"]
    paired: Paired


class Undecided(Value):
    """Two designs between which nothing was decided: one could not be measured, or both tie."""

    kind: Literal["undecided"] = "undecided"
    reason: str


Decision = Annotated[Decided | Undecided, Field(discriminator="kind")]


class Judged(Value):
    """A pair with what the judge said of it; `swapped` if the better one came second."""

    pair: Pair
    swapped: bool
    decision: Decision

    @property
    def right(self) -> bool:
        """Whether the design was named that is known to be better."""
        known = "second" if self.swapped else "first"
        return isinstance(self.decision, Decided) and self.decision.picked == known


class Controls(Value):
    """All pairs at one tier; the interval is Clopper and Pearson's, of the share that is right."""

    tier: str
    seeds: int
    order_seed: int
    judged: tuple[Judged, ...]
    provenance: Provenance

    @property
    def right(self) -> int:
        """How many pairs were ordered as they are known to be."""
        return sum(one.right for one in self.judged)

    @property
    def accuracy(self) -> Interval:
        """Where the decision accuracy of the tier lies."""
        return share_interval(self.right, len(self.judged))

    @property
    def passed(self) -> bool:
        """Whether as large a share was right as 11 of 12."""
        return self.right >= LEAST_RIGHT * len(self.judged)


def swapped(pair: Pair, order_seed: int) -> bool:
    """Draw whether the better design of a pair comes second."""
    rng = random.Random(f"{order_seed}:{pair.better}:{pair.worse}:{pair.metric}")
    return rng.random() < 0.5


def jobs_of(pairs: Sequence[Pair], seeds: int) -> list[Job]:
    """Return what has to be run for these pairs; a run that serves two stands here twice."""
    return [
        Job(source_of(name), pair.metric, seed)
        for pair in pairs
        for name in (pair.better, pair.worse)
        for seed in range(seeds)
    ]


def measure(
    runs: Runs, pairs: Sequence[Pair], stamp: tuple[str, Provenance], order_seed: int, seeds: int
) -> Controls:
    """Run and judge all pairs at seeds 0, 1, ...; `stamp` is the tier's name and the hashes."""
    found = runs.all(jobs_of(pairs, seeds))
    judged = []
    for pair in pairs:
        order = swapped(pair, order_seed)
        names = (pair.worse, pair.better) if order else (pair.better, pair.worse)
        first, second = (
            [found[Job(source_of(name), pair.metric, seed)] for seed in range(seeds)]
            for name in names
        )
        judged.append(Judged(pair=pair, swapped=order, decision=decide(first, second)))
    tier, provenance = stamp
    return Controls(
        tier=tier,
        seeds=seeds,
        order_seed=order_seed,
        judged=tuple(judged),
        provenance=provenance,
    )


def decide(first: Outcomes, second: Outcomes) -> Decided | Undecided:
    """Name the design with the lower mean loss, from runs of both at the same seeds, two or more.

    Names and sources are kept from this function: runs are all that it sees.
    """
    for place, outcomes in (("first", first), ("second", second)):
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                reason = f"the {place} failed at {outcome.stage}: {outcome.reason}"
                return Undecided(reason=reason)
    ours, theirs = (
        np.array([run.loss for run in outcomes if isinstance(run, Run)])
        for outcomes in (first, second)
    )
    gain = paired_gain(ours, theirs)
    if gain.gain == 0:
        return Undecided(reason="both have the same loss")
    if gain.gain > 0:
        return Decided(picked="first", paired=gain)
    return Decided(picked="second", paired=paired_gain(theirs, ours))
