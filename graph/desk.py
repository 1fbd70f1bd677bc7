"""The desk of a researcher outside: briefs go out, designs come in, experiments run meanwhile.

One campaign, one experiment at a time. What was said stands in the checkpoints and in the folder of
the experiment, so a desk that is killed and opened again goes on where it was.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import structlog
from langchain_core.tools import ToolException
from langgraph.checkpoint.serde.types import RESUME
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command, StateSnapshot

from move37.agents.researcher import Submission, remembering
from move37.evaluation.isolation.nursery import Stopped
from move37.files import write_atomically
from move37.graph.asking import DesignWanted, received
from move37.graph.checkpoints import Graph, forget, open_graph, thread_of
from move37.graph.lab import Lab, Watch, open_lab
from move37.graph.nodes import workbench
from move37.graph.standing import Standing, under_way
from move37.graph.state import Start
from move37.records import (
    BudgetSpent,
    CampaignConfig,
    Candidate,
    Progress,
    UserError,
)
from move37.settings import Settings
from move37.tools.code import put_code, show_check, take_code
from move37.tools.knowledge import knowledge_tools

Found = TypeVar("Found")
# How long a call waits for what goes on in the background, unless it says otherwise.
PATIENCE_SECONDS = 45.0
# A repeat is found within seconds, so that handing in a design often answers with it.
SUBMIT_SECONDS = 3.0
# How long the end of a desk waits for what it has told to stop.
END_SECONDS = 5.0


class Desk:
    """One campaign whose researcher is outside; safe to use from several threads."""

    def __init__(self, lab: Lab, graph: Graph, saver: SqliteSaver) -> None:
        self.lab = lab
        self._graph = graph
        self._saver = saver
        self._lock = threading.RLock()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="experiment")
        self._run: Future[None] | None = None
        self._progress: Progress | None = None

    def watch(self, progress: Progress) -> None:
        """Take a sign of life of the experiment."""
        self._progress = progress

    def brief(self, wait_seconds: float | None = PATIENCE_SECONDS) -> DesignWanted:
        """Go on until a design is wanted, and say for what; the draft then holds what it begins as.

        Raises:
            UserError: an experiment is still running after `wait_seconds`, the campaign is
                complete, or something has to be mended.
        """
        went_on = False
        while True:
            if self._run is not None:
                wait([self._run], wait_seconds)
            with self._lock:
                number = self._open_number()
                if self._running():
                    raise UserError(f"{under_way(number, self._progress)}; ask again later")
                if request := self._wanted(number):
                    if not self.draft.exists():
                        put_code(self.draft, self._parent(number).code)
                    return request
                if went_on and (reason := self._stopped()) is not None:
                    raise UserError(reason)
                self._go(number, self._beginning(number))
                went_on = True

    @property
    def draft(self) -> Path:
        """The file that the next design is written in."""
        return workbench(self._number(), self.lab).path

    def look_up(self, name: str, /, **arguments: object) -> str:
        """Return what one of the `knowledge_tools` finds.

        Raises:
            UserError: the campaign runs without it, or what was asked for does not exist.
        """
        number, shown = self._number(), dict[str, None]()
        bench = workbench(number, self.lab)
        papers, lessons = remembering(bench.search, shown), remembering(bench.recall, shown)
        tools = {
            one.name: one for one in knowledge_tools(replace(bench, search=papers, recall=lessons))
        }
        if name not in tools:
            raise UserError(f"this campaign runs without {name}")
        found = _said(lambda: str(tools[name].invoke(arguments)))
        with self._lock:
            known = dict.fromkeys((*self._shown(number), *shown))
            write_atomically(self._note(number), json.dumps(list(known)))
        return found

    def check(self, code: str | None = None) -> str:
        """Run the quick gates on this code, or on the draft.

        Raises:
            UserError: there is no draft to check.
        """
        if code is None:
            self._required()
            code = _said(lambda: take_code(self.draft))
        return show_check(self.lab.evaluator.check(code))[0]

    def submit(self, idea: Mapping[str, object], code: str | None = None) -> Standing:
        """Hand in a design, with this code or the draft; what follows runs in the background.

        `idea` has the fields of `agents.researcher.Design`.

        Raises:
            UserError: no design is wanted now, something of it is missing, or the parent's code is
                unchanged.
        """
        with self._lock:
            request = self._required()
            number = request.experiment
            if code is not None:
                written = code
                _said(lambda: put_code(self.draft, written))
            code = _said(lambda: take_code(self.draft))
            answer = {**idea, "code": code, "shown": self._shown(number)}
            received(answer, request, self._parent(number))
            told = Submission.model_validate(answer).model_dump(mode="json")
            self._go(number, Command(resume=told))
        return self.standing(number, SUBMIT_SECONDS)

    def standing(
        self, number: int | None = None, wait_seconds: float | None = PATIENCE_SECONDS
    ) -> Standing:
        """Return where an experiment stands: by default the one that has begun, or the last one.

        Waits while it runs, at most `wait_seconds`.

        Raises:
            UserError: there is no such experiment yet.
        """
        with self._lock:
            number, run = number or self._latest(), self._run
            if number > self._number():
                raise UserError(f"there is no experiment {number} yet")
        if run is not None and number == self._number():
            wait([run], wait_seconds)
        with self._lock:
            return self._standing(number)

    def proceed(self) -> None:
        """Go on with an experiment that was killed on its way."""
        with self._lock:
            number = self._number()
            if self._state(number).next and self._wanted(number) is None:
                self._go(number, None)

    def close(self) -> None:
        """Stop what is under way; the checkpoints know where to go on."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._run is not None and self._running():
            self.lab.evaluator.stop()
            wait([self._run], END_SECONDS)

    # --- what is under way --------------------------------------------------------------------

    def _standing(self, number: int) -> Standing:
        if archived := self.lab.store.experiment(self.lab.config.name, number):
            return Standing(state="ended", number=number, experiment=archived)
        if self._running():
            return Standing(state="running", number=number, progress=self._progress)
        if (reason := self._stopped()) is not None:
            return Standing(state="stopped", number=number, reason=reason)
        if self._wanted(number) is None:
            reason = f"experiment {number} waits for its brief to be asked for"
            return Standing(state="stopped", number=number, reason=reason)
        refused = tuple(self._state(number).values.get("refused", ()))
        left = self.lab.config.max_repeats + 1 - len(refused)
        return Standing(state="wanted", number=number, refused=refused, attempts_left=left)

    def _running(self) -> bool:
        return self._run is not None and not self._run.done()

    def _stopped(self) -> str | None:
        """Return why the last run stopped, where a user can mend it."""
        error = self._run.exception() if self._run else None
        if error is None:
            return None
        if isinstance(error, BudgetSpent):
            return f"{error}; start again with a higher --max-{error.cap}"
        if not isinstance(error, (UserError, Stopped)):
            raise error
        return f"{str(error) or 'it was interrupted'}; ask for the brief to go on"

    def _go(self, number: int, told: Command[Any] | Start | None) -> None:
        self._progress = None
        self._run = self._pool.submit(self._experiment, number, told)

    def _experiment(self, number: int, told: Command[Any] | Start | None) -> None:
        with structlog.contextvars.bound_contextvars(campaign=self.lab.config.name):
            self._graph.invoke(told, thread_of(self.lab, number), durability="sync")
        if self.lab.store.experiment(self.lab.config.name, number):
            forget(self.lab, self._saver, number)

    def _beginning(self, number: int) -> Start | None:
        return None if self._state(number).next else {"number": number}

    # --- what the campaign knows --------------------------------------------------------------

    def _number(self) -> int:
        """The first experiment that is not archived."""
        return self.lab.next_number()

    def _latest(self) -> int:
        number = self._number()
        return number if number == 1 or self._state(number).next else number - 1

    def _open_number(self) -> int:
        number, config = self._number(), self.lab.config
        if number > config.experiments:
            raise UserError(
                f"campaign {config.name} has its {config.experiments} experiments; "
                f"for more, start again with --experiments {config.experiments + 8}"
            )
        return number

    def _state(self, number: int) -> StateSnapshot:
        return self._graph.get_state(thread_of(self.lab, number))

    def _parent(self, number: int) -> Candidate:
        parent = self._state(number).values["selection"].parent
        assert isinstance(parent, Candidate)
        return parent

    def _wanted(self, number: int) -> DesignWanted | None:
        """Return what an experiment waits for."""
        asked = self._state(number).interrupts
        if not asked or self._answered(number):
            return None
        return DesignWanted.model_validate(asked[0].value)

    def _answered(self, number: int) -> bool:
        """Whether a design was handed in and the process ended before its node took it.

        The state still shows the question then, and a second answer would be dropped for the first.
        """
        kept = self._saver.get_tuple(thread_of(self.lab, number))
        writes = kept.pending_writes or [] if kept else []
        return any(channel == RESUME for _, channel, _ in writes)

    def _required(self) -> DesignWanted:
        """Return what is wanted now.

        Raises:
            UserError: nothing is.
        """
        number = self._open_number()
        request = None if self._running() else self._wanted(number)
        if request is None:
            told = "is under way" if self._running() else "has not begun: ask for the brief first"
            raise UserError(f"no design is wanted now: experiment {number} {told}")
        return request

    def _note(self, number: int) -> Path:
        """Where the ids of what was looked up for an experiment are kept."""
        return self.lab.path(number) / "shown.json"

    def _shown(self, number: int) -> list[str]:
        note = self._note(number)
        ids: list[str] = json.loads(note.read_text()) if note.exists() else []
        return ids


def _said(call: Callable[[], Found]) -> Found:
    """Call a tool; what it complains of is for whoever used the desk."""
    try:
        return call()
    except ToolException as error:
        raise UserError(str(error)) from None


@contextmanager
def open_desk(config: CampaignConfig, settings: Settings, watch: Watch) -> Iterator[Desk]:
    """Open the desk of a campaign, new or not, and go on with what was killed on its way.

    Raises:
        UserError: something that the configuration or the environment asks for is not there.
    """
    desks: list[Desk] = []

    def told(progress: Progress) -> None:
        for desk in desks:
            desk.watch(progress)
        watch(progress)

    with (
        structlog.contextvars.bound_contextvars(campaign=config.name),
        open_lab(config, settings, told, outside=True) as lab,
        open_graph(lab) as (graph, saver),
    ):
        desks.append(Desk(lab, graph, saver))
        try:
            desks[0].proceed()
            yield desks[0]
        finally:
            desks[0].close()
