"""Layers of several kinds: each kind is found, climbs the ladder, and is named when it fails."""

from __future__ import annotations

import pytest

from move37.arch_templates.catalog import template_source
from move37.evaluation.data import load_corpus
from move37.evaluation.evaluate import Admitted, Evaluator
from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.bench import Bench
from move37.evaluation.gates.kinds import kinds
from move37.evaluation.gates.ladder import Checked, run_ladder
from move37.evaluation.isolation.nursery import BoxFailure, Nursery
from move37.evaluation.tiers import load_tier
from move37.records import Failed
from tests.evaluation.faults import Fault

ONE_KIND = (0, 0, 0, 0)
PLAIN = "return sums, v[:, -1:]"
NEXT = "F.pad(v[:, 1:], (0, 0, 0, 1))"


def layered(body: str, init: str = "") -> str:
    """A mixer that knows its layer; `body` may return another answer than the honest one."""
    return Fault(f"{body}\n{PLAIN}", "", init=f"self.layer = layer_idx\n{init}").source


def found(nursery: Nursery, source: str) -> tuple[int, ...]:
    bench = Bench(source, nursery, limits.GATE_SECONDS, used=lambda _: None)
    try:
        return kinds(bench)
    finally:
        bench.close()


def climbed(nursery: Nursery, source: str, *, every: bool = False) -> Checked:
    return run_ladder(source, nursery, every=every, used=lambda _: None)


def test_a_deep_tier_looks_at_as_many_layers_as_it_trains(nursery: Nursery) -> None:
    source = layered(f"if self.layer == 6: return sums + {NEXT}, v[:, -1:]")
    smoke, corpus = load_tier("smoke"), load_corpus()
    assert smoke.layers <= limits.LAYERS
    assert isinstance(Evaluator(smoke, corpus, nursery).admit(source), Admitted)
    deep = Evaluator(smoke.model_copy(update={"layers": 8}), corpus, nursery).admit(source)
    assert isinstance(deep, Failed)
    assert "layer 6: " in deep.reason


def test_a_mixer_that_does_not_heed_its_layer_is_of_one_kind(nursery: Nursery) -> None:
    assert found(nursery, template_source("delta_net")) == ONE_KIND


def test_other_starting_values_alone_make_no_other_kind(nursery: Nursery) -> None:
    source = layered("", "nn.init.normal_(self.value.weight, std=0.1 * (1 + layer_idx))")
    assert found(nursery, source) == ONE_KIND


def test_the_window_of_the_hybrid_is_a_kind_of_its_own(nursery: Nursery) -> None:
    assert found(nursery, template_source("hybrid")) == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("body", "init"),
    [
        (f"if self.layer >= 2: return sums + {NEXT}, v[:, -1:]", ""),
        (f"if self.layer >= 2 and self.training: return sums + {NEXT}, v[:, -1:]", ""),
        (f"if self.layer >= 2: return sums + self.last * {NEXT}, v[:, -1:]", ""),
        ("if self.layer >= 2: return sums + F.relu(sums.abs() - 30), v[:, -1:]", ""),
        ("if self.layer >= 2: return self.gone(sums), v[:, -1:]", ""),
        ("", "if layer_idx >= 2: self.more = nn.Parameter(torch.ones(1))"),
        ("", "if layer_idx >= 2: self.last = nn.Parameter(torch.zeros(2))"),
    ],
    ids=["always", "in training", "behind a zero", "when loud", "raises", "more", "larger"],
)
def test_what_differs_anywhere_on_the_probe_is_another_kind(
    nursery: Nursery, body: str, init: str
) -> None:
    kind = found(nursery, layered(body, init))
    assert kind[:3] == (0, 0, 2)
    # A layer that raises cannot be compared, so each is asked by itself.
    assert kind[3] in ((3,) if "gone" in body else (2,))


def test_in_doubt_every_layer_is_a_kind_of_its_own(nursery: Nursery) -> None:
    source = layered("raise ValueError('no')")
    assert found(nursery, source) == (0, 1, 2, 3)


def test_a_layer_that_never_answers_runs_out_of_time(nursery: Nursery) -> None:
    source = layered("while self.layer == 1: pass")
    bench = Bench(source, nursery, 3.0, used=lambda _: None)
    try:
        with pytest.raises(BoxFailure) as caught:
            kinds(bench)
    finally:
        bench.close()
    assert caught.value.stage == "timeout"


@pytest.mark.parametrize(
    ("body", "gate", "told"),
    [
        (f"if self.layer == 3: return sums + {NEXT}, v[:, -1:]", "G1", "layer 3: length "),
        ("if self.layer == 1: return self.gone(sums), v[:, -1:]", "G8", "layer 1: AttributeError"),
        ("if self.layer == 2: return sums + sums.mean(0), v[:, -1:]", "G7", "layer 2: "),
        ("if self.layer == 1: return sums + start, 0 * v[:, -1:]", "G10", "layer 1: prefill of "),
    ],
)
def test_a_fault_of_a_later_layer_fails_its_gate_and_the_layer_is_named(
    nursery: Nursery, body: str, gate: str, told: str
) -> None:
    report = climbed(nursery, layered(body)).report
    (failed,) = (result for result in report.gates if not result.passed)
    assert failed.id == gate
    assert failed.detail.startswith(told)


def test_a_layer_that_cannot_be_built_fails_at_its_construction(nursery: Nursery) -> None:
    source = layered("", "assert layer_idx < 3, 'three layers at most'")
    report = climbed(nursery, source).report
    (failed,) = (result for result in report.gates if not result.passed)
    assert failed.id == "G17"
    assert failed.detail.startswith("layer 3: ")
    assert "three layers at most" in failed.detail


def test_each_gate_has_one_result_that_of_the_worst_layer(nursery: Nursery) -> None:
    once = climbed(nursery, layered(""), every=True).report
    body = f"if self.layer == 1: return sums + {NEXT}, v[:, -1:]"
    twice = climbed(nursery, layered(body), every=True).report
    assert [gate.id for gate in twice.gates] == [gate.id for gate in once.gates]
    failed = {gate.id for gate in twice.gates if not gate.passed}
    assert {"G1", "G2", "G3", "G4", "G10"} <= failed
    assert all(g.detail.startswith("layer 1: ") for g in twice.gates if not g.passed)


def test_what_a_model_costs_is_the_mean_of_its_layers(nursery: Nursery) -> None:
    checked = climbed(nursery, template_source("hybrid"))
    assert checked.report.passed
    memory, window, *others = [max(expense.state) for expense in checked.expenses]
    assert others == [memory, memory]
    assert window > memory
    assert checked.state_bytes(1) == memory
    assert checked.state_bytes(2) == (memory + window) // 2
    # A deeper model repeats what was seen.
    assert checked.state_bytes(8) == checked.state_bytes(4) == (3 * memory + window) // 4
    assert checked.flops_per_token(2) != checked.flops_per_token(1) > 0
