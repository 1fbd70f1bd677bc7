"""Where a candidate stands against the noise, by hand-computed figures."""

from __future__ import annotations

import random
import statistics

import pytest

from move37.evaluation.calibration.null import Null
from move37.evaluation.standing import (
    against,
    best,
    luck_of,
    luck_told,
    standings,
    without_luck,
)
from move37.records import Noise, Provenance
from tests.move37_package import sample

NOISE = Noise(mean=2.0, sd=0.03, seeds=8)


def test_one_seed_carries_the_noise_of_both_sides() -> None:
    difference = against(1.98, 1, NOISE)
    assert difference.delta == pytest.approx(-0.02)
    assert difference.sd == pytest.approx(0.03 * (1 + 1 / 8) ** 0.5)
    assert difference.verdict == "within noise"


@pytest.mark.parametrize(
    ("loss", "verdict"), [(1.9, "better, not yet verified"), (2.1, "worse"), (2.05, "within noise")]
)
def test_a_verdict_needs_more_than_the_noise(loss: float, verdict: str) -> None:
    assert against(loss, 1, NOISE).verdict == verdict


def test_few_seeds_of_the_baseline_need_a_wider_gap() -> None:
    known, guessed = against(1.9, 1, NOISE), against(1.9, 1, NOISE.model_copy(update={"seeds": 2}))
    assert known.limit == pytest.approx(2.365 * known.sd, rel=1e-3)
    assert guessed.limit == pytest.approx(12.706 * guessed.sd, rel=1e-3)
    assert guessed.verdict == "within noise"


def test_what_was_not_measured_has_no_standing_and_what_was_not_judged_stands_last() -> None:
    lines = standings(sample.campaign(), sample.experiments())
    assert [line.experiment.number for line in lines] == [4, 5, 1, 2, 8]


def test_the_best_has_a_fitness() -> None:
    unjudged = [e for e in sample.experiments() if e.fitness is None]
    assert best(sample.campaign(), unjudged) is None
    top = best(sample.campaign(), sample.experiments())
    assert top is not None
    assert top.experiment.number == 4


def test_without_a_baseline_nothing_is_claimed() -> None:
    lines = standings(sample.campaign(measured=False), sample.experiments())
    assert {line.verdict for line in lines} == {"no baseline"}


def test_the_luck_of_the_best_agrees_with_a_simulation() -> None:
    rng = random.Random(0)
    largest = [max(rng.gauss(0, 1) for _ in range(8)) for _ in range(20_000)]
    assert luck_of(8, 1.0) == pytest.approx(statistics.mean(largest), abs=0.02)
    assert luck_of(1, 1.0) == luck_of(0, 1.0) == 0.0


def test_a_measured_null_takes_the_place_of_the_luck_that_noise_foretells() -> None:
    null = Null(
        tier="smoke",
        root="delta_net",
        losses=(1.99, 2.0, 2.01, 1.98, 2.02),
        baseline_seeds=8,
        decisions=(),
        provenance=Provenance(
            evaluator="e", data="d", tier="t", torch="2", machine="m", isolation="i"
        ),
    )
    expected = null.best_of(8)
    told = luck_told(8, 0.5, null)
    assert f"-{expected.median:.4f}" in told
    assert f"-{expected.high:.4f}" in told
    assert luck_told(8, 0.5, None).endswith(f"-{luck_of(8, 0.5):.4f}.")


def test_the_lowest_loss_is_corrected_for_having_been_the_best_of_many() -> None:
    found = without_luck(sample.campaign(), sample.experiments())
    assert found is not None
    assert found.standing.experiment.number == 4
    assert found.corrected.screened == 5
    assert found.corrected.raw == pytest.approx(0.05)
    assert found.corrected.gain < found.corrected.raw
    assert found.corrected.interval.low < found.corrected.gain < found.corrected.interval.high


def test_a_design_that_hardly_learns_does_not_vouch_for_the_best() -> None:
    told = [
        sample.experiment(n, 0, f"d{n}", sample.measured(n, loss), fitness=0.5)
        for n, loss in enumerate((2.31, 2.33, 2.30, 2.32, 2.29, 2.34), start=1)
    ]
    hopeless = sample.experiment(7, 0, "flat", sample.measured(7, 5.5), fitness=0.1)
    alone, beside = (without_luck(sample.campaign(), e) for e in (told, [*told, hopeless]))
    assert alone is not None
    assert beside is not None
    assert beside.corrected.gain == alone.corrected.gain < 0.8 * alone.corrected.raw
    assert beside.corrected.screened == 7


def test_few_designs_or_no_baseline_leave_nothing_to_correct() -> None:
    assert without_luck(sample.campaign(), sample.experiments()[:2]) is None
    assert without_luck(sample.campaign(measured=False), sample.experiments()) is None


def test_the_corrected_interval_knows_how_few_seeds_the_noise_was_told_by() -> None:
    known = sample.campaign()
    assert known.baseline is not None
    noise = dict(known.baseline.noise)
    noise["text"] = noise["text"].model_copy(update={"seeds": 2})
    guessed = known.model_copy(
        update={"baseline": known.baseline.model_copy(update={"noise": noise})}
    )
    widths = []
    for campaign in (known, guessed):
        found = without_luck(campaign, sample.experiments())
        assert found is not None
        widths.append(found.corrected.interval.high - found.corrected.gain)
    # 12.706 SDs in place of 2.365, and a baseline's mean of two seeds in place of eight.
    assert widths[1] > 5 * widths[0]
