"""Minimal cause: what each mechanism of a design contributes, by a variant without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from move37.evaluation.statistics.paired import Paired, paired_gain
from move37.evaluation.verification.compare import Recorded
from move37.evaluation.verification.runs import Bench, Job, code_hash
from move37.evaluation.verification.seeds import Seeds
from move37.evaluation.verification.trial import Setup, Trial
from move37.records import Failed, Value


class Variant(Value):
    """A design without one mechanism: its code, and what else had to go for that."""

    kind: Literal["variant"] = "variant"
    mechanism: str
    code: str


class NotHad(Value):
    """A mechanism without which the design could not be had or measured, and why."""

    kind: Literal["not had"] = "not had"
    mechanism: str
    reason: str


class Removed(Value):
    """A mechanism and what it contributes in nats: the variant's loss minus the design's."""

    kind: Literal["removed"] = "removed"
    mechanism: str
    program: str
    parameters: int
    contribution: Paired

    @property
    def strippable(self) -> bool:
        """Whether the design may do without: its interval does not exclude a gain of nothing."""
        return self.contribution.interval.low <= 0


class Cause(Value):
    """What became of each mechanism, with the trials and the variants' programs behind that."""

    mechanisms: tuple[Removed | NotHad, ...] = ()
    trials: tuple[Recorded, ...] = ()
    programs: dict[str, str] = Field(default_factory=dict)


def find_cause(
    bench: Bench, source: str, setup: Setup, variants: Sequence[Variant | NotHad], seeds: Seeds
) -> Cause:
    """Train the design and each variant on the same seeds, at the design's best rate."""
    asked = [one for one in variants if isinstance(one, Variant)]
    if not asked:
        return Cause(mechanisms=tuple(one for one in variants if isinstance(one, NotHad)))
    jobs = {
        code: [Job(source=code, setup=setup, seed=seed) for seed in seeds.cause]
        for code in dict.fromkeys([source, *(one.code for one in asked)])
    }
    wanted = [job for some in jobs.values() for job in some]
    found = dict(zip(wanted, bench.run("cause", wanted), strict=True))
    outcomes = {code: [found[job] for job in some] for code, some in jobs.items()}
    told = tuple(
        one if isinstance(one, NotHad) else judge_removal(one, outcomes[source], outcomes[one.code])
        for one in variants
    )
    trials = tuple(
        Recorded(program=code_hash(job.source), trial=trial)
        for job, trial in found.items()
        if isinstance(trial, Trial)
    )
    return Cause(
        mechanisms=told,
        trials=trials,
        programs={code_hash(one.code): one.code for one in asked},
    )


def judge_removal(
    variant: Variant, with_it: Sequence[Trial | Failed], without: Sequence[Trial | Failed]
) -> Removed | NotHad:
    """Compare a design with its variant without a mechanism, on the same seeds."""
    for name, outcomes in (("the design", with_it), ("the variant", without)):
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                reason = f"{name} failed at {outcome.stage}: {outcome.reason}"
                return NotHad(mechanism=variant.mechanism, reason=reason)
    ours = [trial for trial in with_it if isinstance(trial, Trial)]
    theirs = [trial for trial in without if isinstance(trial, Trial)]
    return Removed(
        mechanism=variant.mechanism,
        program=code_hash(variant.code),
        parameters=theirs[0].parameters,
        contribution=paired_gain(
            np.array([trial.loss for trial in ours]), np.array([trial.loss for trial in theirs])
        ),
    )
