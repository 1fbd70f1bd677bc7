"""Runs joined to results."""

from __future__ import annotations

import pytest

from move37.evaluation.skills.results import (
    SMOOTHED_STEPS,
    Capacity,
    SkillRun,
    steps_to_threshold,
    summarise,
)
from move37.records import GateReport


def run(seed: int, loss: float, steps: int | None = None) -> SkillRun:
    return SkillRun(
        skill="recall",
        seed=seed,
        loss=loss,
        floor=0.5,
        chance=3.0,
        accuracy=0.25 * (seed + 1),
        tokens=10,
        steps=steps,
        capacity=(Capacity(pairs=2, loss=loss, accuracy=0.5, tokens=10),),
        audit=GateReport(gates=(), seconds=0.0),
        cpu_seconds=1.0,
    )


def test_the_threshold_is_reached_by_the_mean_of_the_last_steps_and_not_by_one() -> None:
    fall = [4.0] * 50 + [1.0] * 50
    # From 4 to 1 the mean is at 2 when two thirds of the window lie behind the fall.
    assert steps_to_threshold(fall, 2.0) == 50 + 14
    lucky = [4.0] * 50 + [0.0] + [4.0] * 49
    assert steps_to_threshold(lucky, 2.0) is None
    assert steps_to_threshold([0.0] * SMOOTHED_STEPS, 2.0) == SMOOTHED_STEPS
    assert steps_to_threshold([0.0] * (SMOOTHED_STEPS - 1), 2.0) is None


def test_differences_are_paired_by_seed() -> None:
    ours, theirs = [run(0, 1.0, 30), run(1, 3.0)], [run(0, 2.0), run(1, 4.2)]
    result = summarise(ours, theirs)
    assert result.difference.mean == pytest.approx(-1.1)
    assert result.difference.sd == pytest.approx(0.2 / 2**0.5)
    assert result.loss.sd == pytest.approx(2**0.5)
    assert result.excess == pytest.approx(1.5)
    assert result.steps == (30, None)
    assert result.accuracy == pytest.approx(0.375)
    assert [point.loss for point in result.baseline_capacity] == pytest.approx([3.1])
    assert result.capacity[0].tokens == 20


def test_runs_at_other_seeds_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="other seeds"):
        summarise([run(0, 1.0)], [run(1, 1.0)])
