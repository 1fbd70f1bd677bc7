"""Logs: every event on disk as JSON, the worth-while ones on the terminal, nothing at import."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from move37.logs import configure_logs
from move37.records import UserError

log = structlog.get_logger()


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_an_event_carries_what_was_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(tmp_path)
    with structlog.contextvars.bound_contextvars(campaign="c", experiment=3, node="evaluate"):
        log.info("candidate_failed", stage="gate")
    (event,) = events(tmp_path)
    bound = {"campaign": "c", "experiment": 3, "node": "evaluate", "stage": "gate"}
    assert bound.items() <= event.items()
    assert event["event"] == "candidate_failed"
    assert event["timestamp"].endswith("Z")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "candidate_failed" in shown.err
    assert "experiment=3" in shown.err


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, {"info", "error"}),
        ({"verbose": True}, {"debug", "info", "error"}),
        ({"quiet": True}, {"error"}),
    ],
)
def test_the_file_holds_all_and_people_see_what_they_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, bool], seen: set[str]
) -> None:
    configure_logs(tmp_path, **options)
    for level in ("debug", "info", "error"):
        getattr(log, level)(f"said_{level}")
    shown = capsys.readouterr().err
    assert {level for level in ("debug", "info", "error") if f"said_{level}" in shown} == seen
    assert len(events(tmp_path)) == 3


def test_control_characters_of_a_candidate_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(tmp_path)
    log.info("candidate_failed", reason="\x1b]0;owned\x07\x1b[2J")
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\\x1b" in shown


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    configure_logs(tmp_path, quiet=True)

    def speak() -> None:
        for number in range(50):
            log.info("spoke", number=number, text="x" * 3000)

    threads = [threading.Thread(target=speak) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(events(tmp_path)) == 200


def test_an_exception_is_kept_with_its_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(tmp_path)
    try:
        raise ValueError("inside")
    except ValueError:
        log.exception("it_broke")
    assert "ValueError: inside" in events(tmp_path)[0]["exception"]
    assert "ValueError: inside" in capsys.readouterr().err


def test_a_log_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the log"):
        configure_logs(tmp_path / "file")


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert configure_logs(None) is None
    log.info("spoke")
    assert "spoke" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_loggers_of_others_are_left_alone(tmp_path: Path) -> None:
    before = (logging.root.level, list(logging.root.handlers))
    configure_logs(tmp_path)
    assert (logging.root.level, list(logging.root.handlers)) == before


def test_importing_configures_nothing() -> None:
    code = "import move37.logs, structlog; raise SystemExit(structlog.is_configured())"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
