"""The fitness in both modes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from move37.evaluation.fitness import Known, SuspectedLeak, fitness_terms, shrink
from move37.evaluation.tiers import load_tier
from move37.records import (
    Baseline,
    Cost,
    Estimate,
    GateReport,
    GateResult,
    Measured,
    Noise,
    Provenance,
    Rubric,
    Size,
    TaskScore,
)

TIER = load_tier("laptop")
SIZE = Size(parameters=60_000, mixer_parameters=20_000, flops_per_token=1e5, state_bytes=4096)
PROVENANCE = Provenance(evaluator="e", data="d", tier="t", torch="2", machine="m", isolation="i")
MIDDLE = Rubric(innovation=5, complexity=5, convergence=5, performance=5, reason="equal")
BASELINE = Baseline(
    name="delta_net",
    code="class TokenMixer: ...",
    tier="laptop",
    noise={"text": Noise(mean=2.3, sd=0.02, seeds=8), "recall": Noise(mean=1.0, sd=0.1, seeds=8)},
    size=SIZE,
    step_seconds={"text": 0.05, "recall": 0.05},
    curve=(),
    scores=(),
    provenance=PROVENANCE,
)


def measured(text: float, recall: float = 1.0, size: Size = SIZE) -> Measured:
    gate = GateResult(id="G1", name="g", passed=True, figure=0.0, threshold=1e-9)
    return Measured(
        gates=GateReport(gates=(gate,), seconds=1.0),
        audit=GateReport(gates=(gate,), seconds=1.0),
        scores=(
            TaskScore(task="text", seed=0, loss=text, tokens=10),
            TaskScore(task="recall", seed=0, loss=recall, tokens=10),
        ),
        curve=(),
        size=size,
        cost=Cost(),
        provenance=PROVENANCE,
    )


KNOWN = Known(Estimate(mean=2.3, sd=TIER.text.tau), judge_weight=0.1)


def fitness(mode: str, value: Measured, rubric: Rubric = MIDDLE, known: Known = KNOWN) -> float:
    return sum(fitness_terms(mode, value, BASELINE, rubric, TIER, known).values())


@pytest.mark.parametrize("mode", ["paper", "calibrated"])
def test_the_baseline_stands_at_one_half(mode: str) -> None:
    assert fitness(mode, measured(2.3)) == pytest.approx(0.5)


@pytest.mark.parametrize("mode", ["paper", "calibrated"])
def test_lower_loss_is_fitter(mode: str) -> None:
    assert (
        fitness(mode, measured(2.25)) > fitness(mode, measured(2.3)) > fitness(mode, measured(2.4))
    )


def test_the_paper_mode_follows_its_formula() -> None:
    terms = fitness_terms("paper", measured(2.3 * 0.95), BASELINE, MIDDLE, TIER, KNOWN)
    assert terms["loss"] == pytest.approx(1 / (1 + 2.718281828459045 ** (-6 * 0.5)) / 3)
    assert terms["judge"] == pytest.approx(0.5 / 3)


def test_the_paper_mode_calls_a_loss_ten_percent_under_the_baseline_a_leak() -> None:
    with pytest.raises(SuspectedLeak):
        fitness("paper", measured(2.0))


def test_the_calibrated_mode_does_not_saturate_where_the_paper_mode_does() -> None:
    steps = [fitness("calibrated", measured(2.3 - 0.05 * k)) for k in range(4)]
    assert all(b - a > 0.02 for a, b in pairwise(steps))


def test_a_larger_model_is_less_efficient() -> None:
    big = SIZE.model_copy(update={"parameters": 120_000, "state_bytes": 16_384})
    assert fitness("calibrated", measured(2.3, size=big)) < 0.5


def test_what_a_candidate_tells_of_its_own_cost_can_lose_points_and_never_win_any() -> None:
    modest = SIZE.model_copy(update={"flops_per_token": 0.0, "state_bytes": 0})
    honest = SIZE.model_copy(update={"flops_per_token": 4e5})
    assert fitness("calibrated", measured(2.3, size=modest)) == pytest.approx(0.5)
    assert fitness("calibrated", measured(2.3, size=honest)) < 0.5


def test_a_loss_leans_towards_what_its_parent_let_expect_by_the_share_of_noise() -> None:
    noise = Noise(mean=2.0, sd=0.1, seeds=8)
    found = shrink(measured(1.8), "text", noise, Estimate(mean=2.0, sd=0.1))
    assert (found.mean, found.sd) == pytest.approx((1.9, 0.1 / 2**0.5))
    vague = shrink(measured(1.8), "text", noise, Estimate(mean=2.0, sd=100.0))
    assert vague.mean == pytest.approx(1.8, abs=1e-5)


def test_more_seeds_shrink_less() -> None:
    noise, prior = Noise(mean=2.0, sd=0.1, seeds=8), Estimate(mean=2.0, sd=0.1)
    one = measured(1.8)
    again = one.scores[0].model_copy(update={"seed": 1})
    two = one.model_copy(update={"scores": (*one.scores, again)})
    assert shrink(two, "text", noise, prior).mean == pytest.approx(2.0 - 0.2 * 2 / 3)


def test_of_two_equal_losses_the_child_of_the_better_parent_is_fitter() -> None:
    better, worse = (Known(Estimate(mean=mean, sd=0.05), judge_weight=0.0) for mean in (2.25, 2.35))
    value = measured(2.28)
    assert fitness("calibrated", value, known=better) > fitness("calibrated", value, known=worse)


@pytest.mark.parametrize("weight", [0.0, 0.05, 0.3])
def test_the_baseline_stands_at_one_half_whatever_the_judge_has_earned(weight: float) -> None:
    known = Known(KNOWN.prior, judge_weight=weight)
    assert fitness("calibrated", measured(2.3), known=known) == pytest.approx(0.5)
    terms = fitness_terms("calibrated", measured(2.2), BASELINE, MIDDLE, TIER, known)
    assert terms["judge"] == pytest.approx(weight / 2)


def test_a_judge_that_has_earned_nothing_changes_nothing() -> None:
    flattered = Rubric(innovation=10, complexity=10, convergence=10, performance=10, reason="wow")
    nobody = Known(KNOWN.prior, judge_weight=0.0)
    value = measured(2.28)
    assert fitness("calibrated", value, flattered, nobody) == fitness(
        "calibrated", value, MIDDLE, nobody
    )


def test_marks_that_were_not_given_are_left_out_of_the_mean() -> None:
    asked = MIDDLE.model_copy(update={"correctness": 10.0})
    assert MIDDLE.score == pytest.approx(0.5)
    assert asked.score == pytest.approx(0.6)
    assert fitness("paper", measured(2.3), asked) - fitness("paper", measured(2.3)) == (
        pytest.approx(0.1 / 3)
    )
