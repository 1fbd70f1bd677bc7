"""The ladder as a whole: order, early end, what raises, what never answers, what lies."""

from __future__ import annotations

import pytest

from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.evaluation.evaluate import check
from move37.evaluation.gates import ladder
from move37.evaluation.gates.ladder import LadderFailure, run_ladder
from move37.evaluation.isolation.nursery import Box, Nursery
from move37.records import Failed, GateReport
from tests.evaluation.faults import CLEAN, FAULTS, Fault


# The other templates go through it in tests/arch_templates, which takes longer.
@pytest.mark.parametrize("name", TEMPLATES[:2])
def test_every_template_passes_and_tells_what_it_costs(nursery: Nursery, name: str) -> None:
    checked = run_ladder(template_source(name), nursery, every=True, used=lambda _: None)
    assert checked.report.passed, checked.report
    assert checked.flops_per_token(2) > 0
    assert checked.state_bytes(2) > 0
    assert checked.log == ""


def test_the_first_failure_ends_the_ladder_unless_all_are_asked_for(nursery: Nursery) -> None:
    report = check(FAULTS["a call counter"].source, nursery)
    assert isinstance(report, GateReport)
    assert [(g.id, g.passed) for g in report.gates] == [("G17", True), ("G8", False)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return sums[:, :-1], v", "shape"),
        ("return sums", "expected (y, state)"),
        ("return self.missing(sums), v", "AttributeError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("import os; os._exit(0)", "status 0"),
    ],
)
def test_what_raises_in_a_gate_is_a_failed_gate_without_a_figure(
    nursery: Nursery, body: str, reason: str
) -> None:
    checked = run_ladder(Fault(body, "").source, nursery, used=lambda _: None)
    bad = checked.report.gates[-1]
    assert (bad.id, bad.passed, bad.figure) == ("G8", False, None)
    assert reason in bad.detail
    assert "\n" not in bad.detail


def test_what_raises_reaches_the_engineer_with_its_traceback(nursery: Nursery) -> None:
    failed = check(Fault("return self.missing(sums), v", "").source, nursery)
    assert isinstance(failed, Failed)
    assert failed.stage == "gate"
    assert "AttributeError" in failed.reason
    assert "candidate.py" in failed.log
    assert failed.gates is not None


def test_nan_is_named_with_its_length_and_is_no_exception(nursery: Nursery) -> None:
    report = check(Fault("return sums * float('nan'), v[:, -1:]", "").source, nursery)
    assert isinstance(report, GateReport)
    bad = report.gates[-1]
    assert bad.figure is None
    assert "NaN" in bad.detail
    assert "131" in bad.detail


def test_a_source_that_defines_no_mixer_fails_at_its_construction(nursery: Nursery) -> None:
    checked = run_ladder("x = 1", nursery, used=lambda _: None)
    assert [(g.id, g.passed) for g in checked.report.gates] == [("G17", False)]
    assert "TokenMixer" in checked.report.gates[0].detail


def test_all_gates_are_tried_in_fresh_boxes_after_one_that_raised(nursery: Nursery) -> None:
    body = "assert x.shape[1] < 4096, 'too long'\nreturn sums, v[:, -1:]"
    checked = run_ladder(Fault(body, "").source, nursery, every=True, used=lambda _: None)
    assert [g.id for g in checked.report.gates] == [g.id for g in ladder.LADDER]
    assert [g.id for g in checked.report.gates if not g.passed] == ["G13", "G12"]
    assert "too long" in checked.log


def test_a_layer_that_never_answers_fails_by_time_with_what_was_found_before(
    nursery: Nursery,
) -> None:
    body = "while x.shape[1] > 200:\n    pass\nreturn sums, v[:, -1:]"
    with pytest.raises(LadderFailure) as raised:
        run_ladder(Fault(body, "").source, nursery, seconds=3, used=lambda _: None)
    assert raised.value.stage == "timeout"
    assert [g.id for g in raised.value.report.gates] == ["G17", "G8", "G7", "G9"]


def test_a_layer_that_asks_for_too_much_memory_fails_by_memory(nursery: Nursery) -> None:
    body = "torch.empty(1 << 40)\nreturn sums, v[:, -1:]"
    with pytest.raises(LadderFailure) as raised:
        run_ladder(Fault(body, "").source, nursery, used=lambda _: None)
    assert raised.value.stage == "memory"
    assert [g.id for g in raised.value.report.gates] == ["G17"]


def test_every_box_is_accounted_for_when_it_has_ended(nursery: Nursery) -> None:
    boxes: list[Box] = []
    run_ladder(CLEAN.source, nursery, used=boxes.append)
    assert len(boxes) >= 6
    assert all(box.usage.peak_bytes > 0 for box in boxes)
    failing: list[Box] = []
    run_ladder(Fault("return self.missing", "").source, nursery, used=failing.append)
    assert len(failing) == 1
    assert failing[0].usage.peak_bytes > 0


NONSENSE = ["-1", "float('nan')", "float('inf')", "'many'", "None", "[]", "{}", "10**400", "True"]
LIAR = """
from move37.evaluation.inside import probes
honest = probes.reply


def reply(send, message):
    honest(send, {{key: {value} for key in message}})


probes.reply = reply
"""


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_from_a_box_is_a_failed_gate_and_never_an_exception_of_ours(
    nursery: Nursery, value: str
) -> None:
    source = LIAR.format(value=value) + CLEAN.source
    checked = run_ladder(source, nursery, every=True, used=lambda _: None)
    results = {g.id: g for g in checked.report.gates}
    assert len(results) == len(ladder.LADDER)
    assert not results["G17"].passed
    assert all(len(g.detail) <= 300 for g in results.values())


def test_a_liar_after_its_construction_is_refused_too(nursery: Nursery) -> None:
    # From the second answer on: the first one describes the layer truthfully.
    lies = "honest(send, {key: -1 for key in message})"
    truth = "probes.reply = lie\n    honest(send, message)"
    first = f"{truth}\n\n\ndef lie(send, message):\n    {lies}"
    later = LIAR.format(value="-1").replace(lies, first)
    checked = run_ladder(later + CLEAN.source, nursery, every=True, used=lambda _: None)
    passed = {g.id for g in checked.report.gates if g.passed}
    assert passed & {"G8", "G11", "G12", "G13", "G14", "G15", "G18"} == set()


@pytest.mark.parametrize(("name", "sees"), [("leak in the open", True), ("clean", False)])
def test_white_noise_is_predicted_only_by_who_sees_the_answer(
    nursery: Nursery, name: str, sees: bool
) -> None:
    leak = Fault("return sums + torch.cat([v[:, 1:], v[:, :1]], 1), v[:, -1:]", "")
    source = leak.source if sees else CLEAN.source
    checked = run_ladder(source, nursery, every=True, white_noise=True, used=lambda _: None)
    result = checked.report.gates[-1]
    assert result.id == "G5"
    assert result.passed is not sees
