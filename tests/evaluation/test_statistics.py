"""Noise, pairs, shrinkage: each formula against draws whose truth is known.

Tolerances are four standard errors of the figure that is estimated from the draws.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from move37.evaluation.statistics.intervals import bootstrap_interval
from move37.evaluation.statistics.noise import noise_floor, pooled_sd
from move37.evaluation.statistics.paired import paired_gain
from move37.evaluation.statistics.shrinkage import (
    PRIOR_HERITABILITY,
    empirical_prior,
    heritability,
    hierarchical_posterior,
    posterior,
    tree_posterior,
)

Array = NDArray[np.float64]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def share_error(share: float, draws: int) -> float:
    """Four standard errors of a share that is counted in so many draws."""
    return 4 * math.sqrt(share * (1 - share) / draws)


def test_the_interval_of_the_noise_holds_sigma_as_often_as_it_says() -> None:
    draws = 3000
    floors = [noise_floor(losses) for losses in rng().normal(1.8, 0.02, (draws, 8))]
    held = np.mean([floor.sd_interval.holds(0.02) for floor in floors])
    assert held == pytest.approx(0.95, abs=share_error(0.95, draws))
    assert np.mean([floor.sd**2 for floor in floors]) == pytest.approx(
        0.02**2, rel=4 * math.sqrt(2 / 7 / draws)
    )


def test_eight_seeds_know_sigma_to_a_factor_of_two() -> None:
    floor = noise_floor(np.array([1.0, 2, 3, 4, 5, 6, 7, 8]))
    assert floor.sd_interval.low / floor.sd == pytest.approx(0.66, abs=0.005)
    assert floor.sd_interval.high / floor.sd == pytest.approx(2.04, abs=0.005)


def test_repeats_of_many_designs_pool_to_one_noise() -> None:
    groups = [rng(seed).normal(seed, 0.5, 2 + seed % 3) for seed in range(2000)]
    sd, free = pooled_sd(groups)
    assert free == sum(len(group) - 1 for group in groups)
    assert sd == pytest.approx(0.5, rel=4 / math.sqrt(2 * free))


@pytest.mark.parametrize("gain", [0.0, 0.02])
def test_paired_intervals_hold_the_gain_and_p_is_uniform_under_the_null(gain: float) -> None:
    draws, draw = 2000, rng(1)
    shared = draw.normal(1.8, 0.3, (draws, 8))
    ours = shared - gain + draw.normal(0, 0.01, (draws, 8))
    found = [paired_gain(a, b, least=gain) for a, b in zip(ours, shared, strict=True)]
    held = np.mean([one.interval.holds(gain) for one in found])
    assert held == pytest.approx(0.95, abs=share_error(0.95, draws))
    for level in (0.01, 0.1, 0.5):
        below = np.mean([one.p <= level for one in found])
        assert below == pytest.approx(level, abs=share_error(level, draws))


def test_a_gain_is_a_fall_of_the_loss_and_pairing_sharpens_it() -> None:
    seeds = np.array([0.0, 0.5, 1.0, 1.5])
    found = paired_gain(seeds + np.array([-0.11, -0.09, -0.10, -0.10]), seeds)
    assert found.gain == pytest.approx(0.1)
    assert found.p < 0.001
    assert found.se < 0.005


def test_two_runs_of_one_program_are_no_gain() -> None:
    losses = np.array([1.0, 2.0, 3.0])
    assert paired_gain(losses, losses).p == 1.0
    assert paired_gain(losses - 0.5, losses).p == 0.0


def test_too_few_seeds_are_refused_by_all() -> None:
    one = np.array([1.0])
    with pytest.raises(ValueError, match="two"):
        noise_floor(one)
    with pytest.raises(ValueError, match="two"):
        pooled_sd([one, one])
    with pytest.raises(ValueError, match="two"):
        paired_gain(one, one)
    with pytest.raises(ValueError, match="two"):
        empirical_prior(one, 0.1)
    with pytest.raises(ValueError, match="four"):
        hierarchical_posterior(np.array([1.0, 2.0, 3.0]), 0.1)
    with pytest.raises(ValueError, match="two"):
        bootstrap_interval((one,), np.mean, seed=0)


def test_posteriors_hold_the_truth_as_often_as_they_say_even_the_best_of_many() -> None:
    draws, draw = 4000, rng(2)
    truth = draw.normal(1.8, 0.05, (draws, 20))
    means, variances = posterior(truth + draw.normal(0, 0.05, truth.shape), 0.05**2, 1.8, 0.05)
    assert variances == pytest.approx(0.05**2 / 2)
    rows, best = np.arange(draws), means.argmin(axis=1)
    error = (truth - means)[rows, best] / np.sqrt(variances[rows, best])
    assert abs(error.mean()) < 4 / math.sqrt(draws)
    assert np.mean(np.abs(error) < norm.isf(0.025)) == pytest.approx(
        0.95, abs=share_error(0.95, draws)
    )


def test_shrinkage_keeps_a_loss_without_noise_and_gives_up_one_without_spread() -> None:
    observed = np.array([1.0, 2.0])
    assert posterior(observed, 0.0, 5.0, 0.1)[0] == pytest.approx(observed)
    assert posterior(observed, 0.1, 5.0, 0.0)[0] == pytest.approx([5.0, 5.0])


@pytest.mark.parametrize("tau", [0.02, 0.05, 0.2])
def test_the_spread_of_designs_is_found_under_unequal_noise(tau: float) -> None:
    draws, designs, draw = 300, 60, rng(3)
    sd = 0.05 / np.sqrt(draw.integers(1, 9, (draws, designs)))
    losses = draw.normal(1.8, tau, sd.shape) + sd * draw.standard_normal(sd.shape)
    found = np.array([empirical_prior(x, s**2) for x, s in zip(losses, sd, strict=True)])
    assert found[:, 0].mean() == pytest.approx(1.8, abs=4 * found[:, 0].std() / math.sqrt(draws))
    square = found[:, 1] ** 2
    assert square.mean() == pytest.approx(tau**2, abs=4 * square.std() / math.sqrt(draws))


def test_losses_that_differ_by_no_more_than_their_noise_have_no_spread() -> None:
    assert empirical_prior(np.array([1.0, 1.1, 0.9]), 1.0)[1] == 0.0
    exact = empirical_prior(np.array([1.0, 2.0, 4.0]), 0.0)
    assert exact == pytest.approx((7 / 3, np.std([1, 2, 4], ddof=1)), rel=1e-4)


def test_an_unknown_spread_widens_the_posterior_to_what_is_known() -> None:
    draws, designs, draw = 800, 20, rng(4)
    truth = draw.normal(0, 1, (draws, designs))
    seen = truth + draw.standard_normal(truth.shape)
    held, error = [], []
    for row, observed in zip(truth, seen, strict=True):
        mean, variance = hierarchical_posterior(observed, 1.0)
        best = int(observed.argmax())
        error.append((row[best] - mean[best]) / math.sqrt(variance[best]))
        held.append(abs(error[-1]) < norm.isf(0.025))
    # The prior of tau is flat and the truth is one tau, so this is nominal only up to a point.
    assert np.mean(held) == pytest.approx(0.95, abs=0.01 + share_error(0.95, draws))
    assert abs(np.mean(error)) < 0.1 + 4 / math.sqrt(draws)


def test_designs_without_any_difference_or_noise_stay_where_they_are() -> None:
    mean, variance = hierarchical_posterior(np.full(5, 1.5), 0.0)
    assert mean == pytest.approx(1.5)
    assert variance == pytest.approx(0.0)


def family(size: int, heredity: float, draw: np.random.Generator) -> tuple[Array, list[int | None]]:
    """True losses of a tree around 0 with spread 1, parents drawn among the earlier."""
    parents: list[int | None] = [None]
    truth = [draw.standard_normal()]
    for place in range(1, size):
        parent = int(draw.integers(place))
        rest = math.sqrt(1 - heredity**2) * draw.standard_normal()
        parents.append(parent)
        truth.append(heredity * truth[parent] + rest)
    return np.array(truth), parents


@pytest.mark.parametrize("heredity", [0.0, 0.5, 0.9])
def test_heritability_is_found_through_the_noise_even_when_parents_were_chosen(
    heredity: float,
) -> None:
    draw, found = rng(5), []
    for _ in range(60):
        parents = draw.standard_normal(600)
        seen = parents + 0.7 * draw.standard_normal(600)
        # Only those with a low measured loss had children.
        kept = seen < 0
        rest = math.sqrt(1 - heredity**2) * draw.standard_normal(kept.sum())
        child = heredity * parents[kept] + rest + 0.7 * draw.standard_normal(kept.sum())
        found.append(heritability(seen[kept], child, 0.49, 0.0, 1.0))
    error = 4 * float(np.std(found)) / math.sqrt(len(found))
    # Eight prior pairs at one half, against some 300 with half the spread, and no h below 0.
    assert np.mean(found) == pytest.approx(heredity, abs=0.03 + error)


def test_without_pairs_a_child_stands_halfway_to_its_parent() -> None:
    none = np.zeros(0)
    assert heritability(none, none, none, 0.0, 1.0) == PRIOR_HERITABILITY
    assert heritability(np.ones(3), np.ones(3), 0.1, 0.0, 0.0) == PRIOR_HERITABILITY


@pytest.mark.parametrize("heredity", [0.0, 0.6])
def test_a_family_tree_tells_the_truth_as_well_as_it_says_and_better_than_without(
    heredity: float,
) -> None:
    draw, errors, alone = rng(6), [], []
    for _ in range(60):
        truth, parents = family(50, heredity, draw)
        seen = truth + draw.standard_normal(50)
        mean, variance = tree_posterior(seen, np.ones(50), parents, (0.0, 1.0), heredity)
        errors.append((truth - mean) / np.sqrt(variance))
        alone.append((truth - posterior(seen, 1.0, 0.0, 1.0)[0]) / np.sqrt(variance))
    squares = np.mean(np.square(errors), axis=1)
    assert squares.mean() == pytest.approx(1.0, abs=4 * squares.std() / math.sqrt(60))
    gained = np.mean(np.square(alone), axis=1) - squares
    assert gained.mean() >= (0.05 if heredity else -1e-12)


def test_a_tree_without_heredity_is_plain_shrinkage_and_a_child_needs_an_earlier_parent() -> None:
    seen, variance = np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, 0.3])
    mean, left = tree_posterior(seen, variance, [None, 0, 1], (2.0, 0.5), 0.0)
    plain = posterior(seen, variance, 2.0, 0.5)
    assert mean == pytest.approx(plain[0])
    assert left == pytest.approx(plain[1])
    with pytest.raises(ValueError, match="before it"):
        tree_posterior(seen, variance, [None, 2, 1], (2.0, 0.5), 0.5)


def test_bootstrap_intervals_hold_the_mean_about_as_often_as_they_say() -> None:
    draws, draw = 200, rng(7)
    held = [
        bootstrap_interval((row,), np.mean, seed=0, resamples=400).holds(0.0)
        for row in draw.standard_normal((draws, 40))
    ]
    # The percentile interval of 40 rows is short by about one in a hundred.
    assert np.mean(held) == pytest.approx(0.94, abs=0.01 + share_error(0.94, draws))


def test_a_bootstrap_is_repeatable_and_draws_rows_together() -> None:
    row = rng(8).standard_normal(30)

    def difference(a: Array, b: Array) -> float:
        return float(np.mean(a - b))

    both = bootstrap_interval((row, row), difference, seed=1, resamples=200)
    assert (both.low, both.high) == (0.0, 0.0)
    first = bootstrap_interval((row,), np.mean, seed=3)
    assert first == bootstrap_interval((row,), np.mean, seed=3)
