"""Which experiment belongs to which arm, and what is said of the arms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from move37.memory.arms import arm_of, arm_standings
from move37.records import CampaignConfig, Estimate, Experiment, Noise, Policy
from tests.memory.examples import failed, scored

NOISE = Noise(mean=1.25, sd=0.02, seeds=4)
SHARES: dict[Policy, float] = {"best-of-n": 0.2, "random": 0.1}


def config(seed: int = 0, shares: dict[Policy, float] = SHARES) -> CampaignConfig:
    return CampaignConfig(name="a", seed=seed, arms=shares)


@given(seed=st.integers(0, 10**6), count=st.integers(1, 300))
def test_after_any_number_of_experiments_each_arm_had_its_share(seed: int, count: int) -> None:
    told = [arm_of(config(seed), number) for number in range(1, count + 1)]
    expected: dict[Policy | None, float] = {None: 0.7, "best-of-n": 0.2, "random": 0.1}
    for arm, share in expected.items():
        assert abs(told.count(arm) - share * count) < 4


def test_the_arm_depends_on_seed_and_number_and_not_on_the_order_of_the_shares() -> None:
    turned: dict[Policy, float] = dict(reversed(SHARES.items()))
    told = [arm_of(config(), number) for number in range(1, 60)]
    assert told == [arm_of(config(shares=turned), number) for number in range(1, 60)]
    assert told != [arm_of(config(seed=1), number) for number in range(1, 60)]
    assert config().id == config(shares=turned).id


def test_without_arms_all_belong_to_the_policy_and_the_campaign_keeps_its_id() -> None:
    plain = CampaignConfig(name="old", policy="paper", early_stopping=False)
    assert {arm_of(plain, number) for number in range(1, 50)} == {None}
    assert plain.id == "1783c4de97cf"
    stored = plain.model_dump(mode="json")
    del stored["arms"]
    assert CampaignConfig.from_record(stored) == plain
    assert plain.model_copy(update={"arms": SHARES}).id != plain.id


@pytest.mark.parametrize(
    "shares",
    [{"posterior": 0.1}, {"random": 0.0}, {"random": 1.0}, {"random": 0.6, "paper": 0.4}, {"x": 1}],
)
def test_shares_that_leave_nothing_or_mean_nothing_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        CampaignConfig.model_validate({"name": "a", "arms": shares})


def judged(number: int, gain: float, arm: Policy | None = None, cpu: float = 2.0) -> Experiment:
    """A scored experiment of which a gain over the baseline is believed, to within 0.01."""
    one = scored(number)
    assert one.judgement is not None
    assert one.outcome is not None
    known = Estimate(mean=NOISE.mean - gain, sd=0.01)
    cost = one.outcome.cost.model_copy(update={"cpu_seconds": cpu})
    return one.model_copy(
        update={
            "arm": arm,
            "judgement": one.judgement.model_copy(update={"estimate": known}),
            "outcome": one.outcome.model_copy(update={"cost": cost}),
        }
    )


def test_each_arm_is_told_by_its_own_experiments() -> None:
    told = [
        judged(1, 0.01),
        judged(2, 0.03, "best-of-n"),
        judged(3, 0.05),
        failed(4),
        judged(5, 0.09),
        judged(6, 0.02, "best-of-n"),
    ]
    policy, best_of_n, at_random = arm_standings(config(), told, NOISE)
    assert (policy.policy, policy.control, policy.experiments, policy.scored) == (
        "posterior",
        False,
        4,
        3,
    )
    assert policy.mean == pytest.approx(0.05)
    assert policy.mean_interval is not None
    # Student's t with two degrees of freedom, SD 0.04.
    assert policy.mean_interval.high - 0.05 == pytest.approx(4.3027 * 0.04 / 3**0.5, rel=1e-4)
    assert policy.best is not None
    assert policy.best.number == 5
    assert policy.best.gain == pytest.approx(0.09)
    # The noise of the baseline's mean counts: 0.02 / sqrt(4) beside 0.01; t of three degrees.
    half = 3.18245 * (0.01**2 + 0.01**2) ** 0.5
    assert policy.best.interval.high - policy.best.gain == pytest.approx(half, rel=1e-4)
    assert policy.for_each_experiment == pytest.approx(0.09 / 4)
    assert policy.for_each_cpu_second == pytest.approx(0.09 / 6)
    assert best_of_n.best is not None
    assert best_of_n.best.number == 2
    assert (at_random.experiments, at_random.best, at_random.mean) == (0, None, None)


def test_the_fair_race_looks_at_as_many_experiments_of_each_arm() -> None:
    shares: dict[Policy, float] = {"random": 0.3}
    told = [judged(n, 0.01 * n) for n in (1, 2, 4, 5)] + [judged(3, 0.015, "random")]
    policy, at_random = arm_standings(config(shares=shares), told, NOISE)
    assert policy.at_equal == pytest.approx(0.01)
    assert at_random.at_equal == pytest.approx(0.015)
    assert policy.best is not None
    assert policy.best.gain == pytest.approx(0.05)
