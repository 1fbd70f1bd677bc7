"""Sequential tests, many claims, the winner's curse, the ledger of tiers, staged seeds.

Tolerances are four standard errors of the figure that is estimated from the draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from move37.evaluation.statistics.fidelity import decision_accuracy, fidelity, kendall, regret
from move37.evaluation.statistics.intervals import bootstrap_interval
from move37.evaluation.statistics.many import correct_best, discoveries
from move37.evaluation.statistics.sequential import accepted_at, log_e_process, log_e_process_t
from move37.evaluation.statistics.staged import Measure, cost, staged

Array = NDArray[np.float64]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def known(gains: Array) -> Array:
    return log_e_process(gains, sd=0.02)


TESTS = pytest.mark.parametrize("log_e", [known, log_e_process_t], ids=["sd known", "t-mixture"])


@TESTS
@pytest.mark.parametrize("gain", [0.0, -0.02])
def test_who_looks_after_every_seed_and_stops_at_will_is_still_seldom_wrong(
    log_e: Callable[[Array], Array], gain: float
) -> None:
    draws, alpha = 2000, 0.1
    rows = rng().normal(gain, 0.02, (draws, 150))
    wrong = np.mean([accepted_at(row, log_e(row), alpha) is not None for row in rows])
    assert wrong <= alpha + 4 * math.sqrt(alpha * (1 - alpha) / draws)
    if gain < 0:
        assert wrong < alpha / 4


@pytest.mark.parametrize("mixture", ["normal", "t"])
def test_under_the_null_the_mean_of_e_stays_one(mixture: str) -> None:
    # A narrow mixture and few gains: at n r >= 1 the variance of E is infinite.
    draws, ratio = 20_000, 0.1
    rows = rng(1).normal(0, 0.02, (draws, 4))
    log_e = [
        log_e_process(row, 0.02, ratio) if mixture == "normal" else log_e_process_t(row, ratio)
        for row in rows
    ]
    last = np.exp(np.array(log_e)[:, -1])
    assert last.mean() == pytest.approx(1.0, abs=4 * last.std() / math.sqrt(draws))


@TESTS
def test_a_gain_of_two_sigma_is_accepted_within_a_dozen_seeds_as_a_rule(
    log_e: Callable[[Array], Array],
) -> None:
    rows = rng(2).normal(0.04, 0.02, (300, 40))
    found = [accepted_at(row, log_e(row), alpha=0.01) for row in rows]
    assert None not in found
    assert np.median([count for count in found if count]) <= 12


def test_the_t_mixture_knows_no_scale_and_nothing_after_one_gain() -> None:
    gains = rng(3).normal(0.01, 0.02, 30)
    assert log_e_process_t(1000 * gains) == pytest.approx(log_e_process_t(gains))
    assert log_e_process_t(gains)[0] == pytest.approx(0.0)
    assert (log_e_process_t(np.zeros(5)) < 0.0).all()


def test_the_formula_of_the_known_sd_is_that_of_the_specification() -> None:
    gains, sd, r = np.array([0.03, 0.05, 0.04]), 0.02, 0.5
    total, n = gains.sum() / sd, 3
    expected = (1 + n * r) ** -0.5 * math.exp(r * total**2 / (2 * (1 + n * r)))
    assert math.exp(log_e_process(gains, sd)[-1]) == pytest.approx(expected)


def test_candidates_that_are_surely_worse_are_never_accepted() -> None:
    gains = np.full(20, -0.1) + rng(4).normal(0, 0.001, 20)
    log_e = log_e_process(gains, 0.02)
    assert log_e[-1] > 10
    assert accepted_at(gains, log_e, 0.05) is None


def test_of_the_claims_that_stand_a_small_share_is_false() -> None:
    draws, draw, false = 1000, rng(5), []
    for _ in range(draws):
        p = draw.random(40)
        p[:10] = draw.random(10) * 1e-3
        stand = discoveries(p, q=0.1)
        false.append(stand[10:].sum() / max(1, stand.sum()))
    # Three claims in four are of nothing, so the rate is three quarters of q.
    assert np.mean(false) == pytest.approx(0.075, abs=4 * np.std(false) / math.sqrt(draws))


def test_no_claims_are_no_discoveries() -> None:
    assert discoveries(np.zeros(0)).tolist() == []
    assert discoveries(np.array([0.001, 0.9, 0.04])).tolist() == [True, False, False]


def test_the_best_of_many_claims_too_much_until_it_is_corrected() -> None:
    draws, draw = 800, rng(6)
    truth = draw.normal(0, 1, (draws, 40))
    found = [correct_best(row + draw.standard_normal(40), sd=1.0) for row in truth]
    true = np.array([row[one.place] for row, one in zip(truth, found, strict=True)])
    raw = np.array([one.raw for one in found]) - true
    left = np.array([one.gain for one in found]) - true
    assert raw.mean() > 1.0
    assert abs(left.mean()) < 0.05 + 4 * left.std() / math.sqrt(draws)
    held = np.mean([one.interval.holds(t) for one, t in zip(found, true, strict=True)])
    assert held == pytest.approx(0.95, abs=0.01 + 4 * math.sqrt(0.95 * 0.05 / draws))


def test_gains_that_are_all_noise_leave_nothing_of_the_best() -> None:
    left = [correct_best(row, sd=1.0) for row in rng(7).standard_normal((200, 40))]
    assert np.mean([one.raw for one in left]) > 2.0
    assert np.mean([one.gain for one in left]) < 0.4
    assert np.mean([one.interval.low < 0 for one in left]) > 0.95


def tiers(noise: float, seed: int, designs: int = 30) -> tuple[Array, Array]:
    large = rng(seed).normal(1.8, 0.05, designs)
    return large + rng(seed + 1000).normal(0, noise, designs), large


def test_a_faithful_tier_is_trusted_and_a_deaf_one_is_not() -> None:
    faithful = fidelity(*tiers(0.02, seed=8), kept=5)
    assert faithful.trusted
    assert faithful.kendall.value > 0.5
    assert faithful.regret.value < 0.05
    deaf = fidelity(*tiers(10.0, seed=10), kept=5)
    assert not deaf.trusted
    assert deaf == fidelity(*tiers(10.0, seed=10), kept=5)


def test_the_accuracy_of_a_noisy_tier_is_that_of_the_normal_model() -> None:
    # Two normals with correlation c are ordered alike with probability 1/2 + asin(c) / pi.
    draws = 300
    found = [decision_accuracy(*tiers(0.05, seed)) for seed in range(draws)]
    expected = 0.5 + math.asin(1 / math.sqrt(2)) / math.pi
    error = 4 * float(np.std(found)) / math.sqrt(draws)
    assert np.mean(found) == pytest.approx(expected, abs=error)


def test_the_interval_of_the_accuracy_holds_the_truth_about_as_often_as_it_says() -> None:
    draws, expected = 60, 0.5 + math.asin(1 / math.sqrt(2)) / math.pi
    found = [
        bootstrap_interval(tiers(0.05, seed), decision_accuracy, seed=0, resamples=200)
        for seed in range(draws)
    ]
    held = np.mean([one.holds(expected) for one in found])
    assert held == pytest.approx(0.94, abs=0.01 + 4 * math.sqrt(0.94 * 0.06 / draws))


def test_orders_of_hand_have_the_figures_of_hand() -> None:
    small, large = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.3, 1.0, 1.5, 1.7])
    assert kendall(small, large) == pytest.approx(4 / 6)
    assert decision_accuracy(small, large) == pytest.approx(5 / 6)
    assert regret(small, large, kept=1) == pytest.approx(0.3)
    assert regret(small, large, kept=2) == 0.0
    assert kendall(np.ones(4), large) == 0.0
    assert decision_accuracy(np.ones(4), large) == 0.5
    with pytest.raises(ValueError, match="not kept"):
        fidelity(small, large, kept=4)


def campaign(truth: Array, draw: np.random.Generator) -> tuple[Measure, list[tuple[int, int]]]:
    asked: list[tuple[int, int]] = []

    def measure(places: NDArray[np.int64], seeds: int) -> Array:
        asked.append((len(places), seeds))
        return np.asarray(truth[places, None] + draw.standard_normal((len(places), seeds)))

    return measure, asked


def test_stages_spend_what_they_say_and_few_seeds_on_most() -> None:
    measure, asked = campaign(rng(10).standard_normal(57), rng(11))
    chosen = staged(measure, 57, finalists=3)
    assert asked == [(57, 1), (19, 2), (3, 8)]
    assert chosen.runs == cost(57, 3) == sum(count * seeds for count, seeds in asked)
    with pytest.raises(ValueError, match="finalists"):
        staged(measure, 9, finalists=4)


def test_at_equal_budget_stages_find_more_and_claim_what_is_true() -> None:
    draws, draw, gained, held, left = 300, rng(12), [], [], []
    for _ in range(draws):
        truth = draw.standard_normal(57)
        measure, _ = campaign(truth, draw)
        chosen = staged(measure, 57, finalists=3)
        single = draw.standard_normal(cost(57, 3))
        seen = single + draw.standard_normal(len(single))
        gained.append(truth[chosen.place] - single[seen.argmax()])
        held.append(chosen.interval.holds(truth[chosen.place]))
        left.append(truth[chosen.place] - chosen.gain)
    assert np.mean(gained) - 2 * np.std(gained) / math.sqrt(draws) > 0.15
    assert np.mean(held) == pytest.approx(0.95, abs=0.01 + 4 * math.sqrt(0.95 * 0.05 / draws))
    assert abs(np.mean(left)) < 4 * np.std(left) / math.sqrt(draws)
