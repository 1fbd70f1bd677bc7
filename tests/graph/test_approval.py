"""Approval before training: asked in the caller's thread, kept over a kill, never skipped."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from move37.graph.asking import ApprovalWanted, Questions
from move37.graph.build import build_graph
from move37.graph.campaign import run_campaign
from move37.graph.lab import complete, open_lab
from move37.records import CampaignConfig, Experiment, Progress
from move37.settings import Settings
from tests.graph.records import Played, lasting
from tests.test_cli import is_one_clear_line, move37


def config(name: str = "same", experiments: int = 2) -> CampaignConfig:
    """Return the beginning of the campaign that nothing disturbed."""
    return CampaignConfig(name=name, tier="smoke", experiments=experiments, seed=3)


def test_each_design_of_a_batch_is_asked_for_in_the_callers_thread(settings: Settings) -> None:
    asked: list[ApprovalWanted] = []
    seen: list[Progress] = []

    def approve(question: ApprovalWanted) -> bool:
        assert threading.current_thread() is threading.main_thread()
        asked.append(question)
        return question.experiment == 1

    first, second = run_campaign(config(), settings, seen.append, approve)
    assert sorted(one.experiment for one in asked) == [1, 2]
    in_order = sorted(asked, key=lambda one: one.experiment)
    for question, experiment in zip(in_order, (first, second), strict=True):
        assert experiment.proposal is not None
        assert question.name == experiment.proposal.name
        assert question.motivation == experiment.proposal.motivation
        assert question.lines == len(experiment.proposal.code.splitlines())
        assert experiment.forecast is not None
        assert question.predicted_gain == pytest.approx(experiment.forecast.gain)
    assert first.status == "scored"
    assert (second.status, second.reason) == ("refused", "not approved")
    assert second.outcome is None
    assert {one.experiment for one in seen if one.event == "training" and one.experiment} == {1}


def interrupted(question: ApprovalWanted) -> bool:
    raise KeyboardInterrupt


@pytest.mark.long
@pytest.mark.parametrize("again", [True, False])
def test_what_waits_for_an_answer_when_the_run_is_stopped_is_asked_again(
    played: Played, settings: Settings, *, again: bool
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_campaign(config(), settings, lambda _: None, interrupted)
    asked: list[int] = []

    def approve(question: ApprovalWanted) -> bool:
        asked.append(question.experiment)
        return True

    # Whoever goes on without --approve is not asked any more.
    experiments = run_campaign(config(), settings, lambda _: None, approve if again else None)
    assert sorted(asked) == ([1, 2] if again else [])
    assert lasting(experiments) == lasting(played.experiments[:2])


@pytest.mark.slow
def test_who_asks_from_now_on_is_asked_for_what_had_begun_too(settings: Settings) -> None:
    def trip(progress: Progress) -> None:
        if progress.node == "novelty" and progress.event == "started":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign(config(), settings, trip)
    asked: list[int] = []

    def approve(question: ApprovalWanted) -> bool:
        asked.append(question.experiment)
        return False

    experiments = run_campaign(config(), settings, lambda _: None, approve)
    assert sorted(asked) == [1, 2]
    assert [one.reason for one in experiments] == ["not approved"] * 2


def test_an_answer_that_is_neither_yes_nor_no_is_asked_again(settings: Settings) -> None:
    with open_lab(complete(config(), settings), settings, lambda _: None) as lab:
        graph = build_graph(lambda: lab).compile(checkpointer=InMemorySaver())
        thread: Any = {"configurable": {"thread_id": "t"}}
        asked = graph.invoke({"number": 1, "approve": True}, thread)
        assert asked["__interrupt__"][0].value["problem"] == ""
        asked = graph.invoke(Command(resume="perhaps"), thread)
        assert asked["__interrupt__"][0].value["problem"] == "answer yes or no"
        end = graph.invoke(Command(resume="No"), thread)
    assert end["headline"].endswith(": not approved")


def test_who_waits_for_an_answer_is_let_go_when_nobody_answers_any_more() -> None:
    questions = Questions(interrupted)
    question = ApprovalWanted(experiment=1, name="n", motivation="m", expected_gain=0.0, lines=1)
    let_go: list[type[BaseException]] = []

    def wait(count: int) -> None:
        try:
            questions.ask(question)
        except BaseException as error:  # noqa: BLE001 - what it is, is the question
            let_go.append(type(error))

    waiting = [threading.Thread(target=wait, args=(n,)) for n in range(3)]
    for one in waiting:
        one.start()
    _until(lambda: questions._asked.qsize() == 3)
    with pytest.raises(KeyboardInterrupt):
        questions.answer()
    questions.close()
    wait(4)
    for one in waiting:
        one.join(60)
    assert [kind.__name__ for kind in let_go] == ["CancelledError"] * 4


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_a_terminal_there_is_nobody_to_ask(tmp_path: Path) -> None:
    is_one_clear_line(move37(tmp_path, "run", "--approve"), "--approve asks on a terminal")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_on_a_terminal_the_answers_are_typed(settings: Settings) -> None:
    """A real terminal: two experiments of one batch ask one after the other."""
    ours, theirs = pty.openpty()
    settings.home.mkdir(parents=True, exist_ok=True)
    arguments = ["run", "--tier", "smoke", "-n", "2", "--seed", "3", "-c", "typed", "--approve"]
    home = {"MOVE37_HOME": str(settings.home), "MOVE37_CACHE": str(settings.cache)}
    process = subprocess.Popen(
        [sys.executable, "-m", "move37", *arguments],
        env={**os.environ, **home, "TERM": "xterm", "COLUMNS": "200"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    printed = ""
    try:
        for answer in ("what?", "y", "n"):
            printed += _read_until(ours, "train it? (y/n) ")
            os.write(ours, f"{answer}\n".encode())
        printed += _read_until(ours, "report     move37")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert "expected gain" in printed
    assert "answer y or n" in printed
    assert sorted(_statuses(settings)) == ["refused", "scored"]


def _read_until(terminal: int, text: str) -> str:
    """Return what was printed up to this text."""
    seen, deadline = "", time.monotonic() + 240
    while text not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 65_536).decode(errors="replace")
    return seen


def _statuses(settings: Settings) -> list[str]:
    from move37.graph.lab import open_store

    with open_store(settings) as store:
        found: list[Experiment] = store.experiments("typed")
    return [one.status for one in found]
