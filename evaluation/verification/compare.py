"""A candidate against its matched twin: both tuned alike, then run on holdout seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from move37.evaluation.statistics.intervals import Array
from move37.evaluation.statistics.paired import Paired, paired_gain
from move37.evaluation.verification.claim import Claim, claim, least_gain
from move37.evaluation.verification.runs import Bench, Job, code_hash
from move37.evaluation.verification.seeds import Seeds
from move37.evaluation.verification.trial import Setup, Trial
from move37.evaluation.verification.twin import plain_setup, size_twin
from move37.records import Failed, Finite, Value


class Recorded(Value):
    """A trial, and the hash of the program that was trained."""

    program: str
    trial: Trial


class Arm(Value):
    """One side of the comparison: a program and how it was trained on the holdout seeds."""

    program: str
    setup: Setup
    parameters: int
    decode_ms: Finite


class Tuned(Value):
    """A design at one factor on the tier's learning rate: mean loss in nats on tuning seeds."""

    kind: Literal["tuned"] = "tuned"
    factor: Finite
    loss: Finite


class NotTuned(Value):
    """A design that could not be trained at one factor."""

    kind: Literal["not tuned"] = "not tuned"
    factor: Finite
    reason: str


class Tuning(Value):
    """What each learning rate gave a design, and the factor that goes to the holdout."""

    best: Finite
    tried: tuple[Tuned | NotTuned, ...]


class Split(Value):
    """Where the gain over the baseline comes from; `size`, `tuning` and `idea` add up to it.

    Each is paired over the holdout seeds. `size`: baseline to twin, both at the tier's rate;
    `tuning`: what its best rate gave the twin; `idea`: the candidate against the twin, each at its
    best. `own_tuning` is what its best rate gave the candidate; it stands inside `idea`.
    """

    size: Paired
    tuning: Paired
    idea: Paired
    own_tuning: Paired


class Comparison(Value):
    """Everything that was measured of a candidate, its twin and the baseline at one tier.

    `sigma` is the SD in nats of the baseline over the holdout seeds, state is in bytes a layer.
    """

    kind: Literal["comparison"] = "comparison"
    candidate: Arm
    twin: Arm
    baseline: Arm
    candidate_tuning: Tuning
    twin_tuning: Tuning
    claim: Claim
    split: Split
    sigma: Finite
    state_bytes: int
    baseline_state_bytes: int
    trials: tuple[Recorded, ...]

    def losses(self, arm: Arm, seeds: Sequence[int]) -> Array:
        """Return the losses [N] of one arm on these seeds."""
        return losses_of(self.trials, arm.program, arm.setup, seeds)


def losses_of(
    trials: Sequence[Recorded], program: str, setup: Setup, seeds: Sequence[int]
) -> Array:
    """Return the losses [N] of a program at a setup on these seeds.

    Raises:
        KeyError: one of them was not run.
    """
    found = {
        r.trial.seed: r.trial.loss
        for r in trials
        if r.program == program and r.trial.setup == setup
    }
    return np.array([found[seed] for seed in seeds])


class _CandidateFailed(Exception):
    """The candidate ended without a loss; carries the value that says why."""

    def __init__(self, failed: Failed) -> None:
        self.failed = failed


class _Contest:
    """One comparison under way: what was run so far of which program."""

    def __init__(self, bench: Bench, sources: tuple[str, str], seeds: Seeds) -> None:
        self.bench, self.seeds = bench, seeds
        self.factors = bench.evaluator.tier.promotion.rates
        self.candidate, self.baseline = sources
        self.trials: dict[Job, Trial] = {}

    def size(self, source: str, setup: Setup) -> int:
        found = self.bench.count(source, setup)
        if isinstance(found, Failed):
            raise _failure(found, candidate=source == self.candidate)
        return found

    def baseline_size(self, setup: Setup) -> int | None:
        found = self.bench.count(self.baseline, setup)
        return None if isinstance(found, Failed) else found

    def tune(self, setups: dict[str, Setup]) -> dict[str, Tuning]:
        """Return the best rate of each source, by its mean loss on the tuning seeds."""
        jobs = {
            (source, factor): [
                Job(source=source, setup=setup.at(factor), seed=seed) for seed in self.seeds.tuning
            ]
            for source, setup in setups.items()
            for factor in self.factors
        }
        found = self._run("tuning", [job for some in jobs.values() for job in some])
        tried = {key: _tuned(key[1], [found[job] for job in some]) for key, some in jobs.items()}
        return {source: self._best(source, tried, found, jobs) for source in setups}

    def hold_out(self, arms: Sequence[tuple[str, Setup]]) -> None:
        """Run every arm on the holdout seeds."""
        jobs = [
            Job(source=source, setup=setup, seed=seed)
            for seed in self.seeds.holdout
            for source, setup in arms
        ]
        for job, outcome in self._run("holdout", jobs).items():
            if isinstance(outcome, Failed):
                told = f"at holdout seed {job.seed}: {outcome.reason}"
                failed = outcome.model_copy(update={"reason": told})
                raise _failure(failed, candidate=job.source == self.candidate)

    def losses(self, source: str, setup: Setup) -> Array:
        return np.array(
            [
                self.trials[Job(source=source, setup=setup, seed=seed)].loss
                for seed in self.seeds.holdout
            ]
        )

    def arm(self, source: str, setup: Setup) -> Arm:
        ran = [
            self.trials[Job(source=source, setup=setup, seed=seed)] for seed in self.seeds.holdout
        ]
        return Arm(
            program=code_hash(source),
            setup=setup,
            parameters=ran[0].parameters,
            decode_ms=float(np.median([trial.decode_ms for trial in ran])),
        )

    def recorded(self) -> tuple[Recorded, ...]:
        return tuple(
            Recorded(program=code_hash(job.source), trial=trial)
            for job, trial in self.trials.items()
        )

    def _run(self, phase: str, jobs: Sequence[Job]) -> dict[Job, Trial | Failed]:
        found = dict(zip(jobs, self.bench.run(phase, jobs), strict=True))
        self.trials |= {job: one for job, one in found.items() if isinstance(one, Trial)}
        return found

    def _best(
        self,
        source: str,
        tried: dict[tuple[str, float], Tuned | NotTuned],
        found: dict[Job, Trial | Failed],
        jobs: dict[tuple[str, float], list[Job]],
    ) -> Tuning:
        own = tuple(tried[source, factor] for factor in self.factors)
        lasted = [one for one in own if isinstance(one, Tuned)]
        if not lasted:
            outcomes = (found[job] for job in jobs[source, 1.0])
            failed = next(one for one in outcomes if isinstance(one, Failed))
            raise _failure(failed, candidate=source == self.candidate)
        return Tuning(best=min(lasted, key=lambda one: one.loss).factor, tried=own)


def compare(
    bench: Bench, candidate: str, baseline: str, state: tuple[int, int], seeds: Seeds
) -> Comparison | Failed:
    """Size the twin, tune both, run the holdout, and decide; `state` is that of both in bytes.

    Raises:
        RuntimeError: the baseline failed, which is no candidate's fault.
    """
    try:
        return _compare(_Contest(bench, (candidate, baseline), seeds), state)
    except _CandidateFailed as ended:
        return ended.failed


def _compare(contest: _Contest, state: tuple[int, int]) -> Comparison:
    ours, root, tier = contest.candidate, contest.baseline, contest.bench.evaluator.tier
    plain = plain_setup(tier)
    sized = size_twin(contest.size(ours, plain), tier, contest.baseline_size)
    if ours == root:
        tuned = contest.tune({root: plain})
    else:
        tuned = contest.tune({ours: plain, root: sized})
    best, twin = plain.at(tuned[ours].best), sized.at(tuned[root].best)
    arms = [(ours, best), (root, twin), (root, plain), (root, sized), (ours, plain)]
    contest.hold_out(arms)
    candidate, matched, baseline, untuned, at_rate = (contest.losses(*arm) for arm in arms)
    sigma = float(baseline.std(ddof=1))
    return Comparison(
        candidate=contest.arm(ours, best),
        twin=contest.arm(root, twin),
        baseline=contest.arm(root, plain),
        candidate_tuning=tuned[ours],
        twin_tuning=tuned[root],
        claim=claim(candidate, matched, baseline, least_gain(sigma, tier.least)),
        split=Split(
            size=paired_gain(untuned, baseline),
            tuning=paired_gain(matched, untuned),
            idea=paired_gain(candidate, matched),
            own_tuning=paired_gain(candidate, at_rate),
        ),
        sigma=sigma,
        state_bytes=state[0],
        baseline_state_bytes=state[1],
        trials=contest.recorded(),
    )


def _tuned(factor: float, outcomes: Sequence[Trial | Failed]) -> Tuned | NotTuned:
    """A rate that failed at any seed is no rate to go on with."""
    losses = []
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            return NotTuned(factor=factor, reason=f"{outcome.stage}: {outcome.reason}")
        losses.append(outcome.loss)
    return Tuned(factor=factor, loss=float(np.mean(losses)))


def _failure(failed: Failed, *, candidate: bool) -> Exception:
    if candidate:
        return _CandidateFailed(failed)
    return RuntimeError(f"the baseline failed at {failed.stage}: {failed.reason}\n{failed.log}")
