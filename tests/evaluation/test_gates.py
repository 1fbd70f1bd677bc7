"""The gates against planted faults: each is seen by the gates meant for it, and by no other."""

from __future__ import annotations

import pytest

from move37.evaluation.gates import ladder
from move37.evaluation.gates.ladder import Checked, run_ladder
from move37.evaluation.isolation.nursery import Nursery
from tests.evaluation.faults import CLEAN, FAULTS


def climb(nursery: Nursery, source: str, every: bool = True) -> Checked:
    return run_ladder(source, nursery, every=every, used=lambda _: None)


def failed(checked: Checked) -> list[str]:
    return [g.id for g in checked.report.gates if not g.passed]


def test_the_clean_layer_passes_every_gate(nursery: Nursery) -> None:
    checked = climb(nursery, CLEAN.source)
    assert failed(checked) == []
    assert [g.id for g in checked.report.gates] == [g.id for g in ladder.LADDER]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen_by_its_gates_and_no_other(nursery: Nursery, name: str) -> None:
    fault = FAULTS[name]
    checked = climb(nursery, fault.source)
    assert set(failed(checked)) == set(fault.gates.split())
    assert all(g.detail and g.advice for g in checked.report.gates if not g.passed)


def test_every_gate_of_the_ladder_has_a_fault_that_it_sees_first() -> None:
    order = [gate.id for gate in ladder.LADDER]
    first = {min(fault.gates.split(), key=order.index) for fault in FAULTS.values()}
    # What cannot be constructed is no variant of the correct mixer: test_gates_ladder.
    assert first == set(order) - {"G17"}
