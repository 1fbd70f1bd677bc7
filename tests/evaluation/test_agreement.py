"""Rank correlation and retest reliability against hand-computed and simulated figures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from move37.evaluation.statistics.agreement import retest_reliability, spearman

# Six targets, four raters: Shrout and Fleiss (1979), table 2; ICC(2,1) is 0.29 in their table 4.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)


def test_the_reliability_of_the_published_example_is_the_published_one() -> None:
    assert retest_reliability(SHROUT_FLEISS) == pytest.approx(0.29, abs=0.005)


def test_a_scoring_that_is_higher_throughout_disagrees() -> None:
    first = np.arange(10.0)
    assert retest_reliability(np.stack([first, first], axis=1)) == pytest.approx(1.0)
    assert retest_reliability(np.stack([first, first + 5], axis=1)) < 0.8


def test_reliability_is_the_share_of_the_variance_that_is_the_things_own() -> None:
    rng = np.random.default_rng(0)
    things = rng.normal(size=(4000, 1))
    scorings = things + 0.5 * rng.normal(size=(4000, 2))
    assert retest_reliability(scorings) == pytest.approx(0.8, abs=0.02)


def test_things_that_are_all_scored_alike_are_not_told_apart() -> None:
    assert retest_reliability(np.full((5, 2), 0.1)) == 0.0
    with pytest.raises(ValueError, match="two things"):
        retest_reliability(np.zeros((1, 2)))


def test_the_rank_correlation_is_scipys_and_zero_for_ties() -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 5, 30).astype(float)
    second = first + rng.normal(size=30)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert spearman(np.ones(4), np.arange(4.0)) == 0.0
