from __future__ import annotations

import random

import pytest

from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.memory.programs.structure import nearest_code, similarity
from tests.memory import variants

DELTA = template_source("delta_net")


@pytest.mark.parametrize("name", TEMPLATES)
def test_other_words_for_the_same_operations_leave_them_alike(name: str) -> None:
    code = template_source(name)
    reworded = variants.reworded(code, random.Random(1))
    assert reworded is not None
    assert similarity(code, variants.renamed(reworded, random.Random(2))) > 0.999


def test_a_helper_method_changes_nothing() -> None:
    gate = "gate = F.silu(self.gate_proj(x))"
    helper = "    def _gate(self, x):\n        return F.silu(self.gate_proj(x))\n\n    def _split"
    other = DELTA.replace(gate, "gate = self._gate(x)").replace("    def _split", helper)
    assert other.count("_gate(") == 2
    assert similarity(DELTA, other) > 0.98


@pytest.mark.parametrize("name", TEMPLATES)
def test_one_swapped_mechanism_is_near_and_not_the_same(name: str) -> None:
    code = template_source(name)
    swapped = variants.other_mechanism(code, random.Random(0))
    assert swapped is not None
    assert 0.7 < similarity(code, swapped[0]) < 0.985


def test_different_templates_are_far_apart() -> None:
    codes = [template_source(name) for name in TEMPLATES]
    for place, code in enumerate(codes):
        for other in codes[:place]:
            assert similarity(code, other) == similarity(other, code) < 0.75


def test_the_nearest_come_first_and_equals_by_number() -> None:
    earlier = {3: DELTA, 1: template_source("rwkv7"), 2: DELTA, 4: "not ("}
    found = nearest_code(DELTA, earlier)
    assert [number for number, _ in found] == [2, 3, 1, 4]
    assert found[0] == (2, 1.0)
    assert found[-1] == (4, 0.0)
    assert nearest_code(DELTA, earlier, k=1) == found[:1]
    assert nearest_code(DELTA, {}) == ()
