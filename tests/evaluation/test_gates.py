"""The gates against planted faults: each one is caught, by the gate that is meant for it."""

from __future__ import annotations

import pytest

from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.evaluation.evaluate import check
from move37.evaluation.isolation.nursery import Nursery
from move37.records import Failed, GateReport

HEAD = """
import torch
import torch.nn.functional as F
from torch import nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size)
        self.last = nn.Parameter(torch.zeros(1))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x, state=None):
        v = self.value(x)
        total = v.new_zeros(v.shape[0], 1, v.shape[2]) if state is None else state
        sums = v.cumsum(1) + total
"""
CLEAN = "        return sums, sums[:, -1:]\n"

FAULTS = {
    "future mean": ("        return sums + v.mean(1, keepdim=True), sums[:, -1:]\n", "G1"),
    "centred convolution": (
        "        y = F.avg_pool1d(v.mT, 3, 1, 1).mT\n        return y, sums[:, -1:]\n",
        "G1",
    ),
    "leak behind a gate that starts at zero": (
        "        return sums + self.last * v.flip(1), sums[:, -1:]\n",
        "G1",
    ),
    "leak in train mode only": (
        "        y = sums + v.flip(1) if self.training else sums\n        return y, sums[:, -1:]\n",
        "G1",
    ),
    "leak across a chunk edge": (
        "        chunk = F.pad(v, (0, 0, 0, -v.shape[1] % 64)).unflatten(1, (-1, 64))\n"
        "        summary = chunk.mean(2).repeat_interleave(64, 1)[:, : v.shape[1]]\n"
        "        return sums + summary, sums[:, -1:]\n",
        "G1",
    ),
    "scaled by the total length": (
        "        return sums / x.shape[1], sums[:, -1:]\n",
        "G3",
    ),
    "batch statistics": (
        "        return sums - v.mean(0, keepdim=True), sums[:, -1:]\n",
        "G7",
    ),
    "attention over the batch": (
        "        mixed = torch.einsum('bt,btd->td', torch.softmax(v[..., 0], 0), v)\n"
        "        return sums + mixed, sums[:, -1:]\n",
        "G7",
    ),
    "a call counter": (
        "        self.calls += 1\n        return sums * self.calls, sums[:, -1:]\n",
        "G8",
    ),
    "randomness at eval": (
        "        return sums + torch.rand(()) * torch.randint(1, 9, ()), sums[:, -1:]\n",
        "G8",
    ),
    "remembers the last batch": (
        "        y = sums + getattr(self, 'kept', 0)\n        self.kept = float(v.sum())\n"
        "        return y, sums[:, -1:]\n",
        "G8",
    ),
    "no state": ("        return sums, None\n", "G10"),
    "state of the wrong token": ("        return sums, sums[:, :1]\n", "G10"),
}


def test_the_clean_layer_passes_every_gate(nursery: Nursery) -> None:
    report = check(HEAD + CLEAN, nursery, every=True)
    assert isinstance(report, GateReport)
    assert report.passed
    assert [g.id for g in report.gates] == ["G8", "G7", "G1", "G3", "G10"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_passes_every_gate(nursery: Nursery, name: str) -> None:
    report = check(template_source(name), nursery, every=True)
    assert isinstance(report, GateReport), report
    assert report.passed, report


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_by_its_gate(nursery: Nursery, fault: str) -> None:
    body, gate = FAULTS[fault]
    report = check(HEAD + body, nursery, every=True)
    assert isinstance(report, GateReport), report
    failed = [g for g in report.gates if not g.passed]
    assert gate in [g.id for g in failed]
    assert all(g.detail for g in failed)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("        return sums[:, :-1], sums\n", "shape"),
        ("        return sums\n", "expected (y, state)"),
        ("        return sums * float('nan'), sums[:, -1:]\n", "NaN"),
        ("        return self.missing(sums), sums\n", "AttributeError"),
    ],
)
def test_what_raises_in_a_gate_is_a_failure_with_its_reason(
    nursery: Nursery, body: str, reason: str
) -> None:
    failed = check(HEAD + body, nursery)
    assert isinstance(failed, Failed)
    assert failed.stage == "gate"
    assert reason in failed.reason


def test_the_first_failure_ends_the_ladder_unless_all_are_asked_for(nursery: Nursery) -> None:
    body, _ = FAULTS["a call counter"]
    report = check(HEAD + body, nursery)
    assert isinstance(report, GateReport)
    assert len(report.gates) == 1
