"""`move37 check --gallery`: what is read, what is counted, and what the whole command prints."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from rich.console import Console

from move37.gallery import Audited, Program, audit, line, read_gallery, summary, totals
from move37.records import Failed, GateReport, GateResult, UserError
from tests.arch_templates.test_adapter import BARE, FORGETS
from tests.test_cli import is_one_clear_line, move37

LEAK = BARE.replace(".cumsum(1)", ".flip(1).cumsum(1).flip(1)")
TWO = [("a", "x = 1"), ("b", "x = 2")]


def gate(id_: str, figure: float | None) -> GateResult:
    """Return a gate whose limit is 1; without a figure it raised."""
    passed = figure is not None and figure <= 1
    return GateResult(id=id_, name=f"name of {id_}", passed=passed, figure=figure, threshold=1)


def audited(name: str, result: GateReport | Failed | dict[str, float | None]) -> Audited:
    if isinstance(result, dict):
        gates = tuple(gate(id_, figure) for id_, figure in result.items())
        report = GateReport(gates=gates, seconds=1)
        raised = None in result.values()
        result = Failed(stage="gate", reason="it raised", gates=report) if raised else report
    return Audited(Program(name, "x"), result)


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        [{"name": "a", "program": "x = 1"}, {"name": "b", "program": "x = 2"}],
        [{"name": "a", "code": "x = 1", "score": 2.0}, {"name": "b", "source": "x = 2"}],
        {"total": 2, "results": [{"name": "a", "code": "x = 1"}, {"id": "b", "code": "x = 2"}]},
        {"a": "x = 1", "b": "x = 2"},
        {"a": {"program": "x = 1"}, "b": {"program": "x = 2"}},
    ],
)
def test_a_gallery_is_read_in_every_usual_shape(tmp_path: Path, told: object) -> None:
    (tmp_path / "gallery.json").write_text(json.dumps(told))
    programs = read_gallery(tmp_path / "gallery.json")
    assert [(p.name, p.source) for p in programs] == TWO


@pytest.mark.parametrize(
    ("told", "names"),
    [(["x = 1", "x = 2"], ["#0", "#1"]), ({"program": "x = 1"}, ["#0"]), ([{"code": "x"}], ["#0"])],
)
def test_programs_without_a_name_are_numbered(
    tmp_path: Path, told: object, names: list[str]
) -> None:
    (tmp_path / "gallery.json").write_text(json.dumps(told))
    assert [p.name for p in read_gallery(tmp_path / "gallery.json")] == names


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ("[", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\udcff", "is not JSON"),
        ("3", "holds a int, expected a list of objects with 'name' and 'program'"),
        ("[]", "is an empty gallery"),
        ("{}", "is an empty gallery"),
        (
            '[{"name": "a", "program": "x"}, {"name": "b", "score": 1}]',
            "entry 1 has 'name', 'score'",
        ),
        ('[{"name": "a", "program": " "}]', "entry 0 has 'name', 'program', expected its program"),
        ('["x = 1", 7]', "entry 1 is 7, expected its program under 'program', 'code' or 'source'"),
    ],
)
def test_what_is_no_gallery_is_told_in_one_line(tmp_path: Path, content: str, pattern: str) -> None:
    (tmp_path / "gallery.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=pattern):
        read_gallery(tmp_path / "gallery.json")


def test_a_gallery_that_is_not_there_cannot_be_judged(tmp_path: Path) -> None:
    is_one_clear_line(
        move37(tmp_path, "check", "--gallery", "none.json"), "cannot be read: No such"
    )


# --- judging -------------------------------------------------------------------------------------


def test_programs_are_checked_side_by_side_and_each_keeps_its_result() -> None:
    together = threading.Barrier(2, timeout=20)

    def check(source: str) -> GateReport:
        together.wait()
        return GateReport(gates=(gate("G1", float(source)),), seconds=1)

    programs = [Program(f"p{n}", str(n)) for n in range(4)]
    found = list(audit(programs, check, workers=2))
    assert sorted(a.program.name for a in found) == ["p0", "p1", "p2", "p3"]
    assert all(a.gates[0].figure == float(a.program.source) for a in found)


def test_an_evaluator_that_breaks_ends_the_audit() -> None:
    def check(source: str) -> GateReport:
        raise RuntimeError(f"no box for {source}")

    with pytest.raises(RuntimeError, match="no box for x"):
        list(audit([Program("a", "x")], check, workers=1))


# --- counting ------------------------------------------------------------------------------------

GOOD = audited("good", {"G1": 0, "G2": 0, "G3": 0, "G8": 0, "G9": 0, "G10": 0, "G18": 0})
FOUND = [
    GOOD,
    audited("leak", {"G1": 2, "G2": 0, "G3": 3, "G8": 0, "G9": 2, "G10": 3, "G18": 0}),
    audited("length", {"G1": 0, "G2": 0, "G3": 3, "G8": 5, "G9": 2, "G10": None, "G18": 2}),
    audited("refused", Failed(stage="policy", reason="line 1:\nimport of 'os'")),
    audited(
        "slow",
        Failed(
            stage="timeout",
            reason="60 s",
            gates=GateReport(gates=(gate("G1", 0),), seconds=60),
        ),
    ),
]


def test_totals_count_verdicts_by_gate_and_what_they_mean() -> None:
    told = totals(FOUND)
    assert (told["programs"], told["passed"]) == (5, 1)
    assert told["cut_short"] == {"policy": 1, "timeout": 1}
    assert list(told["gates"]) == ["G1", "G2", "G3", "G8", "G9", "G10", "G18"]
    row = {"name": "name of G1", "passed": 3, "failed": 1, "raised": 0, "missing": 1}
    assert told["gates"]["G1"] == row
    assert told["gates"]["G10"] == {
        "name": "name of G10",
        "passed": 1,
        "failed": 1,
        "raised": 1,
        "missing": 2,
    }
    counts = {words.rsplit("(", 1)[1]: count for words, count in told["findings"].items()}
    assert counts == {"G1, G2)": 1, "G3)": 1, "G8)": 1, "G18)": 1, "G10)": 1, "G9)": 1}


def test_each_program_is_one_line_and_nothing_in_it_is_markup() -> None:
    told = [line(a, n, len(FOUND)).plain for n, a in enumerate(FOUND, start=1)]
    assert told[0].split() == ["1/5", "good", "passed", "all", "7", "gates"]
    assert told[2].endswith("failed G3, G8, G9, G10 raised, G18")
    assert told[3].endswith("policy: line 1: import of 'os'")
    assert told[4].endswith("timeout: 60 s")
    evil = line(audited("[red]x\x1b[2J\ny", {"G1": 0}), 1, 1).plain
    assert "[red]x\\x1b[2J y" in evil
    assert "\x1b" not in evil


def test_the_summary_shows_every_gate_and_every_finding() -> None:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(summary(FOUND, 65))
    told = captured.get()
    assert "5 programs in 1m 05s: 1 pass every gate, 1 ended at policy, 1 ended at timeout" in told
    assert "1  see the total length, but not later tokens (G3)" in told
    assert all(f"name of {id_}" in told for id_ in ("G1", "G10", "G18"))


# --- the whole -----------------------------------------------------------------------------------


def test_a_gallery_is_audited_whatever_its_programs_do(tmp_path: Path) -> None:
    programs = {"forgets": FORGETS, "leak": LEAK, "refused": f"import os\n{BARE}"}
    (tmp_path / "gallery.json").write_text(json.dumps(programs))
    result = move37(tmp_path, "check", "--gallery", "gallery.json", "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    reports = {report["file"]: report for report in told["programs"]}
    failed = {
        name: {g["id"] for g in report["gates"] if not g["passed"]}
        for name, report in reports.items()
    }
    assert failed["forgets"] == {"G10"}
    assert {"G1", "G2", "G3", "G4", "G10"} <= failed["leak"]
    assert "decoding token by token is not written" in reports["leak"]["reason"]
    assert reports["refused"]["stage"] == "policy"
    assert told["totals"]["programs"] == 3
    assert told["totals"]["gates"]["G1"]["failed"] == 1
