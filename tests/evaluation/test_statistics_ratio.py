"""A ratio of sums and its standard error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from move37.evaluation.statistics.ratio import ratio_of_sums


def test_with_equal_weights_it_is_the_mean_and_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=40)
    found = ratio_of_sums(values, np.ones(40))
    assert found.mean == pytest.approx(values.mean())
    assert found.se == pytest.approx(values.std(ddof=1) / math.sqrt(40))


def test_the_error_is_the_spread_of_the_ratio_over_other_items() -> None:
    generator = np.random.default_rng(2)
    ratios, errors = [], []
    for _ in range(2000):
        weights = generator.integers(2, 20, 300).astype(float)
        values = weights * 3.0 + generator.normal(size=300) * weights
        found = ratio_of_sums(values, weights)
        ratios.append(found.mean)
        errors.append(found.se)
    assert np.mean(ratios) == pytest.approx(3.0, abs=0.01)
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.05)
    held = np.abs(np.array(ratios) - 3.0) < 1.96 * np.array(errors)
    assert held.mean() == pytest.approx(0.95, abs=0.015)


def test_one_item_or_no_weight_has_no_error() -> None:
    for values in (np.ones(1), np.ones(0)):
        with pytest.raises(ValueError, match="two items"):
            ratio_of_sums(values, values)
    with pytest.raises(ValueError, match="two items"):
        ratio_of_sums(np.ones(2), np.zeros(2))
