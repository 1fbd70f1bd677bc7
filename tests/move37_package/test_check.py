"""`move37 check`: what it prints, what a program reads, and which exit code means what."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer

from move37.arch_templates.catalog import template_source
from move37.cli import judging
from move37.evaluation.isolation.nursery import NurseryLost
from move37.evaluation.isolation.obtain import Isolation
from move37.records import Cost, Failed, UserError
from tests.move37_package import sample
from tests.test_cli import is_one_clear_line, move37

LEAK = """from torch import nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.proj = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, state=None):
        y = self.proj(x)
        return y - y.mean(1, keepdim=True), state
"""
GREEDY = LEAK.replace("self.proj =", "self.greed = torch.zeros(1 << 40)\n        self.proj =")
GREEDY = f"import torch\n{GREEDY}"
KEYS = {"file", "verdict", "stage", "reason", "log", "gates", "seconds", "isolation"}
GATE_KEYS = {"id", "name", "passed", "figure", "threshold", "detail", "advice"}
ISOLATION_KEYS = {"mode", "tier", "complete", "raised", "missing", "open"}
START_SECONDS = 30
WALLED = Isolation(mode="auto", raised=("landlock", "seccomp"), missing={}, open={})


def checked(folder: Path, source: str, *options: str) -> tuple[int, dict[str, Any]]:
    (folder / "mixer.py").write_text(source)
    result = move37(folder, "check", "mixer.py", "--json", *options)
    report: dict[str, Any] = json.loads(result.stdout)
    assert set(report) == KEYS
    assert set(report["isolation"]) == ISOLATION_KEYS
    assert all(set(gate) == GATE_KEYS for gate in report["gates"])
    return result.returncode, report


def test_an_honest_file_passes_with_exit_code_zero(tmp_path: Path) -> None:
    code, report = checked(tmp_path, template_source("delta_net"))
    assert (code, report["verdict"], report["stage"], report["reason"]) == (0, "passed", "", "")
    assert report["file"] == "mixer.py"
    assert all(gate["passed"] for gate in report["gates"])
    assert {"G1", "G3", "G10", "G17"} <= {gate["id"] for gate in report["gates"]}
    assert report["seconds"] > 0


def test_a_leak_fails_with_exit_code_one_and_all_goes_on_behind_it(tmp_path: Path) -> None:
    code, first = checked(tmp_path, LEAK)
    assert (code, first["verdict"], first["stage"]) == (1, "failed", "gate")
    assert [gate["passed"] for gate in first["gates"]].count(False) == 1
    code, every = checked(tmp_path, LEAK, "--all")
    assert code == 1
    failed = {gate["id"]: gate for gate in every["gates"] if not gate["passed"]}
    assert {"G1", "G3"} <= set(failed)
    assert all(gate["detail"] and gate["advice"] for gate in failed.values())
    assert "G3 prefix consistency" in every["reason"]


def test_a_failed_gate_is_printed_with_its_case_its_cure_and_the_isolation(tmp_path: Path) -> None:
    (tmp_path / "mixer.py").write_text(LEAK)
    result = move37(tmp_path, "check", "mixer.py", MOVE37_ISOLATION="off")
    assert result.returncode == 1
    assert "  case  " in result.stdout
    assert "  mend  " in result.stdout
    told = " ".join(result.stdout.split())
    assert "failed: G" in told
    assert told.endswith(
        "Candidates ran WITHOUT isolation (MOVE37_ISOLATION=off): only for code that you trust"
    )


def test_too_much_memory_is_the_fault_of_the_candidate(tmp_path: Path) -> None:
    code, report = checked(tmp_path, GREEDY)
    assert (code, report["verdict"], report["stage"]) == (1, "failed", "memory")
    assert "allocate" in report["reason"]


def test_a_refusal_of_the_policy_is_the_fault_of_the_candidate(tmp_path: Path) -> None:
    code, report = checked(tmp_path, f"import os\n{LEAK}")
    assert (code, report["verdict"], report["stage"]) == (1, "failed", "policy")
    assert "line 1" in report["reason"]


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (None, "is a directory|Is a directory"),
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"class T\xff\xfe: ...", "UTF-8"),
    ],
)
def test_what_cannot_be_read_as_source_is_not_judged(
    tmp_path: Path, content: bytes | None, pattern: str
) -> None:
    path = tmp_path / "mixer.py"
    path.mkdir() if content is None else path.write_bytes(content)
    is_one_clear_line(move37(tmp_path, "check", "mixer.py"), pattern)


def test_where_isolation_cannot_be_had_nothing_is_judged(tmp_path: Path) -> None:
    (tmp_path / "mixer.py").write_text(LEAK)
    result = move37(tmp_path, "check", "mixer.py", MOVE37_ISOLATION="strict", PATH=str(tmp_path))
    is_one_clear_line(result, "MOVE37_ISOLATION=strict, but bubblewrap")
    assert result.stdout == ""


def test_a_judge_that_dies_gives_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "mixer.py").write_text(LEAK)
    command = [sys.executable, "-m", "move37", "check", "mixer.py", "--json"]
    running = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with running:
        judge = child_of(running.pid, "move37.evaluation.server")
        judge.send_signal(signal.SIGKILL)
        told, _ = running.communicate(timeout=START_SECONDS)
    assert running.returncode == 2
    assert told == ""


def child_of(pid: int, module: str) -> psutil.Process:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        for child in psutil.Process(pid).children():
            if module in child.cmdline():
                return child
        time.sleep(0.01)
    raise AssertionError(f"{module} did not start")


def test_a_judge_that_is_lost_or_broken_exits_as_not_judged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UserError, match="died before there was a verdict"), judging.judging():
        raise NurseryLost
    with pytest.raises(typer.Exit) as broken, judging.judging():
        raise RuntimeError("a box did not start")
    assert broken.value.exit_code == 2
    assert "a box did not start" in capsys.readouterr().err
    with pytest.raises(typer.Exit) as stopped, judging.judging():
        raise KeyboardInterrupt
    assert stopped.value.exit_code == 130


def test_what_a_candidate_raised_keeps_its_gates_and_log_in_the_report() -> None:
    failed = Failed(
        stage="gate",
        reason="G1 raised",
        log="Traceback",
        gates=sample.gates(broken=True),
        cost=Cost(gate_seconds=1.6),
    )
    report = judging.check_report("a.py", failed, WALLED)
    assert (report["verdict"], report["stage"], report["log"]) == ("failed", "gate", "Traceback")
    assert report["seconds"] == 1.4
    timeout = Failed(stage="timeout", reason="60 s", cost=Cost(gate_seconds=60.0))
    assert judging.check_report("a.py", timeout, WALLED)["seconds"] == 60.0
    assert judging.check_report("a.py", timeout, WALLED)["gates"] == []


def test_the_report_names_the_isolation_and_what_is_missing() -> None:
    bare = Isolation(
        mode="off", raised=(), missing={"seccomp": "off"}, open={"reads a file": "secret"}
    )
    told = judging.check_report("a.py", sample.gates(), bare)["isolation"]
    assert isinstance(told, dict)
    assert told["tier"] == "clean-environment"
    assert told["complete"] is False
    assert told["open"] == {"reads a file": "secret"}
    passed = judging.check_report("a.py", sample.gates(), WALLED)
    assert json.loads(json.dumps(passed)) == passed | {"isolation": passed["isolation"]}
