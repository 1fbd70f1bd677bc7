"""The record of designs that a researcher is shown, against their parents."""

from __future__ import annotations

import pytest

from move37.memory.accounts import accounts
from move37.memory.lessons import Origin
from move37.memory.pool import as_candidate
from move37.records import Candidate, Experiment
from tests.memory.examples import ROOT, measured, proposal, scored

ORIGIN = Origin(loss=1.25, mechanisms=frozenset({"delta-rule"}), sd=0.01)


def child(number: int, parent: int, loss: float, *mechanisms: str) -> Experiment:
    told = proposal(code=f"number = {number}", mechanisms=mechanisms)
    one = scored(number, parent=parent, told=told)
    return one.model_copy(update={"outcome": measured(loss)})


HISTORY = [child(1, 0, 1.24, "delta-rule"), child(2, 1, 1.14, "delta-rule", "learned-decay")]


def candidates() -> list[Candidate]:
    return [told for one in HISTORY if (told := as_candidate(one)) is not None]


def test_each_is_told_against_its_own_parent() -> None:
    second, first = accounts(HISTORY, [*candidates()[::-1], ROOT], ROOT, ORIGIN)
    assert (first.number, first.parent, first.parent_code) == (1, 0, ROOT.code)
    assert (first.changed, first.effect) == ((), "unclear")
    assert first.gain == pytest.approx(0.01)
    assert (second.number, second.parent, second.parent_code) == (2, 1, "number = 1")
    assert (second.changed, second.effect) == (("+learned-decay",), "helped")
    assert second.gain == pytest.approx(0.1)
    assert second.losses == {"text": 1.14}
    assert second.expected_gain == pytest.approx(0.3)
    assert second.analysis == "it helped"


def test_what_an_analyst_left_open_is_told_with_its_word() -> None:
    (one, _) = HISTORY
    assert one.analysis is not None
    asking = one.analysis.model_copy(update={"questions": ("Does it hold at length?",)})
    history = [one.model_copy(update={"analysis": asking})]
    (first,) = accounts(history, candidates()[:1], ROOT, ORIGIN)
    assert first.analysis == "it helped\nDoes it hold at length?"


def test_the_root_has_no_account_and_an_unread_analysis_is_empty() -> None:
    assert accounts(HISTORY, [ROOT], ROOT, ORIGIN) == ()
    silent = [one.model_copy(update={"analysis": None}) for one in HISTORY]
    (first, _) = accounts(silent, candidates(), ROOT, ORIGIN)
    assert first.analysis == ""
