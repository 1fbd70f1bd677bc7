"""The judge's record: what its predictions were held against, and what weight they earned."""

from __future__ import annotations

import random

import pytest

from move37.evaluation.statistics.intervals import Interval
from move37.memory.forecasts import RETUNED, TrackRecord, gains_by_change, track_record
from move37.memory.lessons import Origin
from move37.records import Estimate, Experiment, Forecast, Prediction
from tests.memory.examples import failed, measured, proposal, scored

PARENT = Estimate(mean=1.25, sd=0.01)


def predicted(number: int, told: tuple[float, ...], gain: float) -> Experiment:
    scorings = tuple(Prediction(gain=one, sd=0.02, reason="a guess") for one in told)
    forecast = Forecast(parent=PARENT, scorings=scorings)
    return scored(number).model_copy(
        update={"forecast": forecast, "outcome": measured(PARENT.mean - gain)}
    )


def campaign(count: int, skill: float, wobble: float, seed: int = 0) -> list[Experiment]:
    """Experiments whose judge is right up to noise, and repeats itself up to `wobble`."""
    rng = random.Random(seed)
    found = []
    for number in range(1, count + 1):
        gain = rng.gauss(0, 0.05)
        told = skill * gain + (1 - skill**2) ** 0.5 * rng.gauss(0, 0.05)
        twice = (told + rng.gauss(0, wobble), told + rng.gauss(0, wobble))
        found.append(predicted(number, twice, gain))
    return found


def weight(told: list[Experiment]) -> float:
    return track_record(told, seed=0).weight


def test_a_judge_without_a_record_has_no_weight() -> None:
    record = track_record([], seed=0)
    assert (record.outcomes, record.rank, record.reliability, record.weight) == (0, None, None, 0)
    assert weight(campaign(9, skill=1.0, wobble=0.0)) == 0.0


def test_a_right_judge_is_held_at_a_tenth_until_thirty_outcomes_and_then_earns_more() -> None:
    told = campaign(60, skill=0.98, wobble=0.001)
    assert weight(told[:29]) == pytest.approx(0.1)
    assert 0.2 < weight(told[:30]) < weight(told) < 0.3


def test_a_judge_that_guesses_earns_nothing() -> None:
    weights = [weight(campaign(40, skill=0.0, wobble=0.001, seed=seed)) for seed in range(8)]
    assert sum(one == 0 for one in weights) >= 7
    assert max(weights) < 0.05
    assert weight(campaign(40, skill=-0.9, wobble=0.001)) == 0.0


def test_a_judge_that_does_not_agree_with_itself_has_no_weight() -> None:
    record = track_record(campaign(60, skill=0.98, wobble=0.05), seed=0)
    assert record.reliability is not None
    assert record.reliability < 0.8
    assert record.interval is not None
    assert record.interval.low > 0
    assert record.weight == 0.0


@pytest.mark.parametrize(
    ("outcomes", "reliability", "expected"),
    [(9, 1.0, 0.0), (10, 1.0, 0.1), (29, 0.8, 0.1), (30, 0.8, 0.15), (30, 0.799, 0.0)],
)
def test_the_weight_has_its_steps(outcomes: int, reliability: float, expected: float) -> None:
    record = TrackRecord(
        forecasts=outcomes,
        outcomes=outcomes,
        reliability=reliability,
        rank=0.7,
        interval=Interval(low=0.5, high=0.9),
    )
    assert record.weight == pytest.approx(expected)


def test_what_has_no_outcome_counts_for_reliability_alone() -> None:
    told = campaign(12, skill=0.9, wobble=0.001)
    forecast = told[0].forecast
    lost = failed(13).model_copy(update={"forecast": forecast})
    record = track_record([*told, lost, scored(14)], seed=0)
    assert (record.forecasts, record.outcomes) == (13, 12)


def test_the_record_does_not_depend_on_the_order_of_the_experiments() -> None:
    told = campaign(20, skill=0.5, wobble=0.01)
    assert track_record(told[::-1], seed=3) == track_record(told, seed=3)


def test_gains_are_told_by_change_against_the_parent() -> None:
    origin = Origin(loss=1.25, mechanisms=frozenset({"delta-rule"}), sd=0.01)

    def child(number: int, parent: int, loss: float, *tags: str) -> Experiment:
        one = scored(number, parent=parent, told=proposal(mechanisms=tags))
        return one.model_copy(update={"outcome": measured(loss)})

    told = [
        child(1, 0, 1.20, "delta-rule", "learned-decay"),
        child(2, 1, 1.22, "delta-rule"),
        child(3, 1, 1.15, "delta-rule", "learned-decay"),
        failed(4, parent=1),
        child(5, 4, 1.1, "delta-rule"),
    ]
    found = gains_by_change(told, 1.25, origin)
    assert {name: pytest.approx(list(gains)) for name, gains in found.items()} == {
        "+learned-decay": [0.05],
        "-learned-decay": [-0.02],
        RETUNED: [0.05],
    }
