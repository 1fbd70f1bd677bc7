"""The evaluating process: same answers as at hand, no secrets in it, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from move37.arch_templates.catalog import template_source
from move37.evaluation.client import EvaluatorProcess, open_evaluator
from move37.evaluation.isolation.nursery import NurseryLost, Stopped
from move37.evaluation.tiers import load_tier
from move37.records import CurvePoint, Failed, GateReport, Measured, UserError

DELTA_NET = template_source("delta_net")
HANGS = """
from torch import nn

class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        while True:
            pass
"""


@pytest.fixture(scope="module")
def evaluator() -> Iterator[EvaluatorProcess]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MOVE37_API_KEY", "the-key-of-the-user")
        with open_evaluator("auto", load_tier("smoke")) as opened:
            yield opened


def test_what_is_measured_elsewhere_comes_back_as_a_record(evaluator: EvaluatorProcess) -> None:
    seen: list[CurvePoint] = []
    measured = evaluator.evaluate(DELTA_NET, 0, watch=lambda _, point, __: seen.append(point))
    assert isinstance(measured, Measured)
    assert measured.audit.passed
    assert measured.provenance == evaluator.provenance
    assert measured.provenance.isolation == evaluator.isolation.tier
    assert [p.loss for p in seen] == [p.loss for p in measured.curve]


def test_gates_and_policy_are_asked_elsewhere_too(evaluator: EvaluatorProcess) -> None:
    report = evaluator.check(DELTA_NET)
    assert isinstance(report, GateReport)
    assert report.passed
    refused = evaluator.check("import os\n")
    assert isinstance(refused, Failed)
    assert refused.stage == "policy"


def test_no_key_enters_the_evaluating_process(evaluator: EvaluatorProcess) -> None:
    assert evaluator.isolation.tier
    server = psutil.Process(evaluator.pid)
    for process in (server, *server.children(recursive=True)):
        assert b"the-key-of-the-user" not in Path(f"/proc/{process.pid}/environ").read_bytes()


def test_a_bug_over_there_is_an_exception_with_its_traceback_here() -> None:
    with open_evaluator("auto") as gates_only, pytest.raises(RuntimeError, match="without a tier"):
        gates_only.rehearse(DELTA_NET, 2)


def test_a_process_that_dies_is_no_verdict_and_is_replaced(evaluator: EvaluatorProcess) -> None:
    server = psutil.Process(evaluator.pid)
    threading.Timer(1.0, server.kill).start()
    with pytest.raises(NurseryLost):
        evaluator.check(HANGS)
    again = evaluator.check(DELTA_NET)
    assert isinstance(again, GateReport)
    assert evaluator.pid != server.pid


def test_stopping_frees_whoever_waits_and_leaves_no_process() -> None:
    with open_evaluator("auto") as opened:
        before = set(psutil.Process().children(recursive=True))
        threading.Timer(1.0, opened.stop).start()
        with pytest.raises(Stopped):
            opened.check(HANGS)
    ended = before - set(psutil.Process().children(recursive=True))
    assert len(ended) >= 2


def test_nothing_survives_the_death_of_the_orchestrator() -> None:
    script = (
        "import psutil\n"
        "from move37.evaluation.client import open_evaluator\n"
        "with open_evaluator('auto') as evaluator:\n"
        "    print(*(p.pid for p in psutil.Process().children(recursive=True)), flush=True)\n"
        "    input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) >= 2
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, pids))


def test_what_a_user_can_mend_is_told_in_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="no such file"),
        open_evaluator("auto", load_tier("smoke"), str(tmp_path / "absent")),
    ):
        pass
