"""The figures of a template are those that the gates measure."""

from __future__ import annotations

import pytest

from move37.evaluation import sheet
from move37.evaluation.isolation.nursery import Nursery
from tests.evaluation.faults import CLEAN, FAULTS


def measured(monkeypatch: pytest.MonkeyPatch, nursery: Nursery, source: str) -> sheet.Sheet:
    monkeypatch.setattr(sheet, "template_source", lambda name: source if name == "mine" else "")
    return sheet.measure("mine", nursery)


def test_a_recurrence_and_a_bound_are_told_apart_by_their_figures(nursery: Nursery) -> None:
    delta, bound = sheet.measure_all(["delta_net", "softmax_attention"], nursery)
    assert (delta.name, bound.name) == ("delta_net", "softmax_attention")
    # Five matrices of 48 by 48, write strengths, norm, and filters of 4 taps on 144 channels.
    assert delta.parameters == 5 * 48 * 48 + 2 * 48 + 24 + 4 * 144
    # Two memories of 24 by 24 and three inputs of the filters, or all keys and values so far.
    assert delta.state_bytes == 4 * (2 * 24 * 24 + 3 * 144)
    assert bound.state_bytes == 4 * 2 * 48 * 2047
    assert (delta.quadratic, bound.quadratic) == (False, True)
    assert delta.cost_exponent == pytest.approx(1.0, abs=0.05)
    assert bound.cost_exponent == pytest.approx(2.0, abs=0.05)
    assert delta.state_exponent == 0
    assert bound.state_exponent == pytest.approx(1.0)
    assert 2 * 5 * 48 * 48 < delta.operations < bound.operations
    assert delta.decodes
    assert bound.decodes


def test_a_layer_whose_state_lacks_something_is_not_said_to_decode(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = FAULTS["state of the wrong token"].source
    assert measured(monkeypatch, nursery, CLEAN.source).decodes
    assert not measured(monkeypatch, nursery, broken).decodes


def test_layers_of_several_kinds_are_told_as_their_mean(nursery: Nursery) -> None:
    hybrid = sheet.measure("hybrid", nursery)
    # Three memories of 24 by 24 for each of 2 heads with three inputs of the filters, and one
    # window of 63 keys and values with a position.
    memory, window = 4 * (2 * 24 * 24 + 3 * 144), 4 * 2 * 48 * 63 + 8
    assert hybrid.state_bytes == (3 * memory + window) / 4
    assert hybrid.decodes


def test_a_template_that_does_not_run_is_a_fault_of_ours(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError, match="the template mine could not be measured"):
        measured(monkeypatch, nursery, "x = 1")
