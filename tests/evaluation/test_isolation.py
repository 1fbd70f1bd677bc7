"""Boxes: limits, deadlines, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from move37.evaluation.isolation.nursery import (
    BoxFailure,
    Limits,
    Nursery,
    NurseryLost,
    Stopped,
    clean_environment,
)
from move37.evaluation.isolation.obtain import choose, open_nursery
from move37.evaluation.isolation.walls import Wall

HEAD = "from torch import nn\nimport torch\n"


def raised() -> frozenset[Wall]:
    return choose("auto", os.environ)[0]


def run_at_import(nursery: Nursery, code: str, limits: Limits) -> BoxFailure:
    """Build a candidate whose module runs `code`, and return how that failed."""
    source = HEAD + code + "\nclass TokenMixer(nn.Module):\n    pass\n"
    with nursery.open_box(limits) as box:
        shape = {"hidden": 8, "heads": 1, "seed": 0, "precision": "float64"}
        box.send({"op": "build", "source": source, "index": 0, **shape})
        with pytest.raises(BoxFailure) as caught:
            box.receive_json()
    return caught.value


def test_an_endless_loop_ends_at_the_deadline(nursery: Nursery) -> None:
    start = time.monotonic()
    failure = run_at_import(nursery, "while True: pass", Limits(seconds=1.0))
    assert failure.stage == "timeout"
    assert time.monotonic() - start < 8


def test_a_memory_bomb_is_a_memory_failure(nursery: Nursery) -> None:
    bomb = "held = [torch.ones(1 << 28) for _ in range(100)]"
    failure = run_at_import(nursery, bomb, Limits(seconds=30, memory_bytes=4 << 30))
    assert failure.stage == "memory"


def test_an_exit_is_a_failure_not_a_success(nursery: Nursery) -> None:
    failure = run_at_import(nursery, "import os\nos._exit(0)", Limits(seconds=20))
    assert failure.stage == "train"
    assert "ended early" in failure.reason


def test_what_the_candidate_raised_comes_back_with_its_log(nursery: Nursery) -> None:
    failure = run_at_import(nursery, "raise KeyError('mine')", Limits(seconds=20))
    assert failure.reason == "KeyError: 'mine'"
    assert "candidate" in failure.log


def test_a_closed_pipe_with_a_living_process_is_no_hang(nursery: Nursery) -> None:
    code = "import os, time\nos.closerange(3, 64)\ntime.sleep(60)"
    start = time.monotonic()
    run_at_import(nursery, code, Limits(seconds=30))
    assert time.monotonic() - start < 15


def test_no_file_can_be_written(nursery: Nursery, tmp_path: Path) -> None:
    failure = run_at_import(nursery, f"open('{tmp_path}/mine', 'w')", Limits(seconds=20))
    assert "Error" in failure.reason
    assert list(tmp_path.iterdir()) == []


def test_children_of_a_candidate_do_not_outlive_it_even_without_walls() -> None:
    code = (
        "import os\nif os.fork() == 0: os.execv('/bin/sleep', ['sleep', '987'])\nraise ValueError"
    )
    with open_nursery("off") as (weak, _):
        assert run_at_import(weak, code, Limits(seconds=20)).reason == "ValueError"
        time.sleep(0.3)
        left = [p for p in psutil.process_iter(["cmdline"]) if "987" in (p.info["cmdline"] or [])]
    assert left == []


def test_no_secret_enters_the_environment(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "MOVE37_API_KEY" not in clean_environment({"MOVE37_API_KEY": "s", "PATH": "/bin"})
    code = "import os\nraise ValueError(sorted(os.environ))"
    failure = run_at_import(nursery, code, Limits(seconds=20))
    assert "KEY" not in failure.reason
    assert "PATH" in failure.reason


def test_boxes_share_no_state(nursery: Nursery) -> None:
    run_at_import(nursery, "torch.mark = 1\nraise ValueError", Limits(seconds=20))
    failure = run_at_import(nursery, "torch.mark", Limits(seconds=20))
    assert "AttributeError" in failure.reason


def test_a_flood_of_output_is_bounded(nursery: Nursery) -> None:
    code = "for _ in range(100000): print('x' * 100)"
    failure = run_at_import(nursery, code, Limits(seconds=20))
    assert len(failure.log) <= 8000


def test_closing_the_nursery_stops_whoever_waits() -> None:
    nursery = Nursery(raised())
    with nursery.open_box(Limits(seconds=60)) as box:
        threading.Timer(0.5, nursery.close).start()
        with pytest.raises(Stopped):
            box.receive_json()


def test_a_lost_nursery_is_no_verdict_on_the_candidate_and_is_replaced() -> None:
    def lose(nursery: Nursery) -> None:
        with nursery.open_box(Limits(seconds=60)) as box:
            parent = psutil.Process(box.pid).parent()
            assert parent is not None
            parent.kill()
            box.receive_json()

    with Nursery(raised()) as nursery:
        with pytest.raises(NurseryLost):
            lose(nursery)
        with nursery.open_box(Limits(seconds=60)) as box:
            assert psutil.pid_exists(box.pid)


def test_boxes_die_with_a_killed_parent() -> None:
    script = (
        "import os\n"
        "from move37.evaluation.isolation.nursery import Limits, Nursery\n"
        "from move37.evaluation.isolation.obtain import choose\n"
        "nursery = Nursery(choose('auto', os.environ)[0])\n"
        "box = nursery.open_box(Limits(seconds=60))\n"
        "print(box.pid, flush=True)\n"
        "input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def test_a_hundred_boxes_leak_no_descriptor(nursery: Nursery) -> None:
    def one() -> None:
        with nursery.open_box(Limits(seconds=20)):
            pass

    one()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(100):
        one()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
