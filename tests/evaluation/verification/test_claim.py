from __future__ import annotations

import numpy as np
import pytest

from move37.evaluation.statistics.intervals import Array
from move37.evaluation.verification.claim import (
    ALPHA,
    Claim,
    claim,
    keep_true,
    least_gain,
    more_seeds,
)

LEAST = 0.04
SEEDS = 8
Trio = tuple[Array, Array, Array]


def trio(gain: float, size: float, noise: float, seed: int, seeds: int = SEEDS) -> Trio:
    """Losses of candidate, twin and baseline; `gain` of the idea and `size` of the resizing."""
    rng = np.random.default_rng(seed)
    baseline = 1.8 + 0.02 * rng.standard_normal(seeds)
    twin = baseline - size + noise * rng.standard_normal(seeds)
    return twin - gain + noise * rng.standard_normal(seeds), twin, baseline


@pytest.mark.parametrize(
    ("gain", "size", "verdict"),
    [
        (0.1, 0.0, "discovery"),
        (0.1, 0.1, "discovery"),
        (0.0, 0.1, "size or tuning only"),
        (0.0, 0.0, "not better"),
        (-0.1, 0.0, "not better"),
        (0.02, 0.0, "not better"),
    ],
)
def test_each_origin_of_a_gain_has_its_verdict(gain: float, size: float, verdict: str) -> None:
    assert claim(*trio(gain, size, 0.005, seed=1), LEAST).verdict == verdict


def test_a_gain_in_the_noise_is_promising_and_the_seeds_it_asks_for_decide_it() -> None:
    first = trio(0.06, 0.0, 0.06, seed=3)
    told = claim(*first, LEAST)
    assert told.verdict == "promising"
    assert told.more_seeds is not None
    # As many seeds more of the same mean and spread.
    gains = first[1] - first[0]
    count = SEEDS + told.more_seeds
    sample = np.resize((gains - gains.mean()) / gains.std(ddof=1), count)
    sample = (sample - sample.mean()) / sample.std(ddof=1) * gains.std(ddof=1) + gains.mean()
    again = claim(np.full(count, 1.8) - sample, np.full(count, 1.8), np.full(count, 1.8), LEAST)
    assert again.verdict != "promising"


def test_nobody_is_asked_for_seeds_that_would_not_decide() -> None:
    one = claim(*trio(LEAST, 0.0, 0.3, seed=9), LEAST).against_twin
    assert more_seeds(one.model_copy(update={"gain": LEAST}), LEAST + 1e-6) is None


def test_equal_designs_are_called_a_discovery_less_often_than_alpha() -> None:
    false = sum(
        claim(*trio(0.0, 0.0, 0.02, seed), least=0.0).verdict == "discovery" for seed in range(4000)
    )
    # Four standard errors over the promised rate.
    assert false <= 4000 * ALPHA + 4 * (4000 * ALPHA) ** 0.5


def test_what_matters_begins_at_three_seed_sds_or_at_the_floor_of_the_tier() -> None:
    assert least_gain(0.02, 0.03) == pytest.approx(0.06)
    assert least_gain(0.002, 0.03) == 0.03


def test_among_many_claims_the_least_sure_are_taken_back() -> None:
    sure = claim(*trio(0.1, 0.0, 0.005, seed=1), LEAST)
    doubtful = sure.model_copy(
        update={"against_twin": sure.against_twin.model_copy(update={"p": 9e-4})}
    )
    none = claim(*trio(-0.1, 0.0, 0.005, seed=2), LEAST)
    crowd: list[Claim] = [doubtful, *([none] * 99)]
    assert keep_true([doubtful, none])[0].verdict == "discovery"
    assert keep_true(crowd)[0].verdict == "promising"
    assert [one.verdict for one in keep_true([sure, *crowd])[2:]] == ["not better"] * 99
    assert keep_true([]) == []
