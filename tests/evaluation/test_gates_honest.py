"""Unusual but honest layers: no false alarm, and the remark that they deserve."""

from __future__ import annotations

import pytest

from move37.evaluation.gates.ladder import run_ladder
from move37.evaluation.isolation.nursery import Nursery
from tests.evaluation.faults import Fault

HONEST = {
    "casts to single and half precision": (
        Fault(
            "y = (sums.float() * 3).to(torch.bfloat16).to(x.dtype) / 3\n"
            "scale = torch.ones(1, dtype=torch.float32)\nreturn y * scale, v[:, -1:]",
            "",
        ),
        "",
    ),
    "dropout": (Fault("return F.dropout(sums, 0.1, self.training), v[:, -1:]", ""), ""),
    "a saved step counter without effect on order": (
        Fault(
            "if self.training:\n    self.calls += 1\n"
            "return sums * (1 + 1 / (10 + self.calls)), v[:, -1:]",
            "",
        ),
        "step counters: calls",
    ),
    "a mask that is honoured": (
        Fault(
            "if attention_mask is not None:\n"
            "    v = v * attention_mask[..., None].to(v.dtype)\n"
            "    before = torch.cat([start, v[:, :-1]], 1)\n"
            "    sums = v + before * torch.sigmoid(self.gate(x))\n"
            "return sums, v[:, -1:]",
            "",
            arguments=", attention_mask=None",
        ),
        "",
    ),
    "a large state that is declared": (
        Fault(
            "return sums, v[:, -1:].repeat(1, 99, 1)",
            "",
            init="type(self).large_state = True",
        ),
        "declared",
    ),
    "an output that starts at zero": (Fault("return sums * self.last, v[:, -1:]", ""), ""),
    "twice the work of a short layer": (
        Fault("return sums + self.value(torch.tanh(sums)), v[:, -1:]", ""),
        "frontier only",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_layer_passes_with_its_remark(nursery: Nursery, name: str) -> None:
    layer, remark = HONEST[name]
    checked = run_ladder(layer.source, nursery, every=True, used=lambda _: None)
    assert checked.report.passed, [g for g in checked.report.gates if not g.passed]
    assert any(remark in g.detail for g in checked.report.gates)
