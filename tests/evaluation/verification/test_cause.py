"""Minimal cause: what a mechanism is worth, and what is said where that cannot be had."""

from __future__ import annotations

import pytest

from move37.evaluation.verification.cause import NotHad, Removed, Variant, judge_removal
from move37.evaluation.verification.trial import Trial
from move37.records import Failed
from tests.evaluation.verification.sample import trial

VARIANT = Variant(mechanism="adds the output gate", code="class TokenMixer: ...\n")
NOISE = (0.01, -0.01, 0.005, -0.005)


def trials(loss: float, signs: int = 1) -> list[Trial]:
    return [trial(30_000 + i, loss + signs * noise) for i, noise in enumerate(NOISE)]


@pytest.mark.parametrize(
    ("worth", "strippable"), [(0.1, False), (0.001, True), (-0.1, True), (0.0, True)]
)
def test_what_is_not_above_nothing_may_be_stripped(worth: float, strippable: bool) -> None:
    told = judge_removal(VARIANT, trials(2.8), trials(2.8 + worth, signs=-1))
    assert isinstance(told, Removed)
    assert told.contribution.gain == pytest.approx(worth)
    assert told.strippable is strippable


@pytest.mark.parametrize("which", [0, 1])
def test_a_run_that_failed_is_told_and_never_counted(which: int) -> None:
    sides: list[list[Trial | Failed]] = [[*trials(2.8)], [*trials(2.9)]]
    sides[which][2] = Failed(stage="train", reason="diverged")
    told = judge_removal(VARIANT, *sides)
    assert isinstance(told, NotHad)
    assert "failed at train: diverged" in told.reason
