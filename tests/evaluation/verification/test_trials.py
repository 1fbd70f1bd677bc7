"""Trials and the comparison that is made of them, with a real judge at the tier `smoke`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from move37.arch_templates.catalog import template_source
from move37.evaluation.client import EvaluatorProcess, open_evaluator
from move37.evaluation.tiers import load_tier
from move37.evaluation.verification.compare import Comparison, NotTuned, compare
from move37.evaluation.verification.runs import Bench, Job, Step
from move37.evaluation.verification.seeds import seeds_of
from move37.evaluation.verification.trial import CURVE_POINTS, Setup, Trial
from move37.evaluation.verification.twin import plain_setup, size_twin
from move37.files import write_atomically
from move37.records import Failed, Measured
from tests.evaluation.verification import sample

TIER = load_tier("smoke")
PLAIN = plain_setup(TIER)
ROOT = template_source("delta_net")
# The same program with one matrix more: larger, and nothing else.
LARGER = ROOT.replace(
    "        self.out_proj =",
    "        self.wider = nn.Linear(hidden_size, hidden_size, bias=False)\n        self.out_proj =",
).replace("        gate = F.silu(", "        x = x + 0.1 * self.wider(x)\n        gate = F.silu(")
SEEDS = seeds_of(4)
Losses = Callable[[Job, int], float]


@pytest.fixture(scope="module")
def evaluator() -> Iterator[EvaluatorProcess]:
    with open_evaluator("auto", TIER) as opened:
        yield opened


def bench(evaluator: EvaluatorProcess, folder: Path, tell: Callable[[Step], None]) -> Bench:
    return Bench(evaluator=evaluator, slots=2, folder=folder, tell=tell)


def silent(_: Step) -> None:
    """Tell nobody."""


def store(bench: Bench, sources: dict[str, Setup], losses: Losses) -> None:
    """Keep a trial of every job that a comparison asks for, with these losses."""
    for source, sized in sources.items():
        for setup in {PLAIN, *(sized.at(factor) for factor in TIER.promotion.rates)}:
            for place, seed in enumerate((*SEEDS.tuning, *SEEDS.holdout)):
                job = Job(source=source, setup=setup, seed=seed)
                trial = sample.trial(seed, losses(job, place), setup)
                write_atomically(bench.path_of(job), trial.model_dump_json())


def test_a_trial_is_the_text_half_of_an_evaluation_to_the_bit(evaluator: EvaluatorProcess) -> None:
    trial = evaluator.trial(ROOT, 3, PLAIN)
    assert isinstance(trial, Trial)
    again = evaluator.trial(ROOT, 3, PLAIN)
    assert isinstance(again, Trial)
    assert again.loss == trial.loss
    whole = evaluator.evaluate(ROOT, 3)
    assert isinstance(whole, Measured)
    assert (trial.loss, trial.parameters) == (whole.loss("text"), whole.size.parameters)
    assert trial.audit.passed
    assert {gate.id for gate in trial.audit.gates} == {"G1", "G3", "G7", "G10"}
    assert len(trial.curve) <= CURVE_POINTS
    assert trial.curve[-1].step == TIER.text.steps
    assert trial.decode_ms > 0


def test_rate_and_size_of_a_trial_are_what_was_asked(evaluator: EvaluatorProcess) -> None:
    wide = Setup(hidden=40, expansion=3.0, factor=1 / 3)
    trial, counted = evaluator.trial(ROOT, 3, wide), evaluator.count(ROOT, wide)
    assert isinstance(trial, Trial)
    assert not isinstance(counted, Failed)
    assert trial.parameters == counted.parameters
    assert counted.mixer_parameters < counted.parameters
    plain, slow = (evaluator.trial(ROOT, 3, PLAIN.at(factor)) for factor in (1.0, 1 / 3))
    assert isinstance(plain, Trial)
    assert isinstance(slow, Trial)
    # Few steps: at a third of the rate less is learned, from the same first batch on.
    assert slow.loss > plain.loss
    assert slow.curve[0].loss == plain.curve[0].loss


def test_a_candidate_that_breaks_off_is_a_value(evaluator: EvaluatorProcess) -> None:
    broken = ROOT.replace(
        "        gate = F.silu(", "        assert not self.training\n        gate = F.silu("
    )
    failed = evaluator.trial(broken, 3, PLAIN)
    assert isinstance(failed, Failed)
    assert failed.stage == "train"
    assert isinstance(evaluator.count(broken, PLAIN), Failed)


@pytest.mark.slow
def test_what_ended_is_kept_when_the_rest_is_interrupted(tmp_path: Path) -> None:
    jobs = [Job(source=ROOT, setup=PLAIN, seed=seed) for seed in range(3)]

    def interrupt(step: Step) -> None:
        if step.done == 1:
            raise KeyboardInterrupt

    with open_evaluator("auto", TIER) as evaluator:
        one = Bench(evaluator=evaluator, slots=1, folder=tmp_path, tell=interrupt)
        with pytest.raises(KeyboardInterrupt):
            one.run("holdout", jobs)
    kept = list(tmp_path.glob("*.json"))
    assert 1 <= len(kept) < len(jobs)
    before = {path: path.stat().st_mtime_ns for path in kept}
    with open_evaluator("auto", TIER) as evaluator:
        found = bench(evaluator, tmp_path, silent).run("holdout", [*jobs, jobs[0]])
    assert len(found) == 4
    assert found[0] == found[3]
    assert len(list(tmp_path.glob("*.json"))) == len(jobs)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())


@pytest.mark.parametrize(
    ("size_gain", "idea_gain", "verdicts"),
    [
        (0.3, 0.0, {"size or tuning only"}),
        (0.0, 0.0, {"not better"}),
        (0.3, 0.3, {"discovery"}),
    ],
)
def test_a_design_that_is_only_larger_is_no_discovery(
    evaluator: EvaluatorProcess,
    tmp_path: Path,
    size_gain: float,
    idea_gain: float,
    verdicts: set[str],
) -> None:
    place = bench(evaluator, tmp_path, silent)
    counted = evaluator.count(LARGER, PLAIN)
    assert not isinstance(counted, Failed)

    def size(setup: Setup) -> int | None:
        found = evaluator.count(ROOT, setup)
        return None if isinstance(found, Failed) else found.parameters

    sized = size_twin(counted.parameters, TIER, size)
    assert sized != PLAIN
    noise = np.random.default_rng(1).standard_normal((3, 64)) * 0.002

    def losses(job: Job, seed: int) -> float:
        larger = job.source == LARGER or job.setup.at(1.0) == sized
        gain = size_gain * larger + idea_gain * (job.source == LARGER)
        arm = 2 * (job.source == LARGER) + (job.setup.at(1.0) == sized and job.source == ROOT)
        return 2.9 - gain + 0.3 * abs(math.log(job.setup.factor)) + float(noise[min(arm, 2), seed])

    store(place, {ROOT: sized, LARGER: PLAIN}, losses)
    store(place, {ROOT: PLAIN}, losses)
    found = compare(place, LARGER, ROOT, (1, 1), SEEDS)
    assert isinstance(found, Comparison)
    assert found.claim.verdict in verdicts
    split = found.split
    whole = split.size.gain + split.tuning.gain + split.idea.gain
    assert whole == pytest.approx(found.claim.against_baseline.gain)
    assert split.size.gain == pytest.approx(size_gain, abs=0.01)
    assert split.idea.gain == pytest.approx(idea_gain, abs=0.01)
    assert not set(SEEDS.tuning) & set(SEEDS.holdout)


def test_the_best_rate_of_each_goes_to_the_holdout(
    evaluator: EvaluatorProcess, tmp_path: Path
) -> None:
    place = bench(evaluator, tmp_path, silent)
    other = ROOT.replace("DeltaNet:", "Another DeltaNet:")
    low, _, high = rates = TIER.promotion.rates
    best = {ROOT: high, other: low}

    def losses(job: Job, seed: int) -> float:
        off = abs(rates.index(job.setup.factor) - rates.index(best[job.source]))
        return 2.9 + 0.1 * off + 0.001 * seed

    store(place, {ROOT: PLAIN, other: PLAIN}, losses)
    found = compare(place, other, ROOT, (1, 1), SEEDS)
    assert isinstance(found, Comparison)
    assert (found.candidate.setup.factor, found.twin.setup.factor) == (low, high)
    # Tuned alike they are the same, and both better than the baseline at the tier's rate.
    assert found.claim.verdict == "size or tuning only"
    assert found.split.tuning.gain == pytest.approx(found.split.own_tuning.gain)
    assert found.split.tuning.gain == pytest.approx(0.1)


def test_a_rate_that_fails_is_told_and_another_one_is_taken(
    evaluator: EvaluatorProcess, tmp_path: Path
) -> None:
    place = bench(evaluator, tmp_path, silent)
    # Builds, is counted at its first step, and breaks off when its weights have moved.
    broken = ROOT.replace(
        "        gate = F.silu(",
        "        assert self.norm.weight.sub(1).abs().max() < 0.05\n        gate = F.silu(",
    )
    store(place, {ROOT: PLAIN, broken: PLAIN}, lambda _, seed: 2.9 + 0.001 * seed)
    for seed in SEEDS.tuning:
        place.path_of(Job(source=broken, setup=PLAIN.at(3.0), seed=seed)).unlink()
    found = compare(place, broken, ROOT, (1, 1), SEEDS)
    assert isinstance(found, Comparison)
    (told,) = (one for one in found.candidate_tuning.tried if isinstance(one, NotTuned))
    assert told.factor == 3.0
    assert told.reason.startswith("train: AssertionError")
    assert found.candidate.setup.factor != 3.0
    for seed in SEEDS.holdout:
        for factor in TIER.promotion.rates:
            place.path_of(Job(source=broken, setup=PLAIN.at(factor), seed=seed)).unlink()
    ended = compare(place, broken, ROOT, (1, 1), SEEDS)
    assert isinstance(ended, Failed)
    assert "holdout seed" in ended.reason
