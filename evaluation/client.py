"""The orchestrator's side of the evaluating process: the same calls, answered from elsewhere."""

from __future__ import annotations

import itertools
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from move37.evaluation.data.prepare import prepare
from move37.evaluation.estimate import require
from move37.evaluation.evaluate import Admitted, Watcher, ignore
from move37.evaluation.isolation.nursery import NurseryLost, Stopped, clean_environment
from move37.evaluation.isolation.obtain import Isolation, Mode
from move37.evaluation.pruning import Plan
from move37.evaluation.server import Call, Opening
from move37.evaluation.skills.results import SkillOutcome, SkillRun
from move37.evaluation.tiers import Tier
from move37.evaluation.verification.trial import (
    Counted,
    CountOutcome,
    Setup,
    Trial,
    TrialOutcome,
)
from move37.evaluation.zero_shot.harness import hub_environment
from move37.evaluation.zero_shot.results import BenchmarkOutcome, BenchmarkRun, TaskItems
from move37.records import (
    Baseline,
    CurvePoint,
    Failed,
    GateReport,
    Measured,
    Outcome,
    Provenance,
    TaskScore,
    UserError,
)
from move37.settings import load_settings

END_SECONDS = 10.0
OUTCOME: TypeAdapter[Measured | Failed] = TypeAdapter(Outcome)
ADMISSION: TypeAdapter[Admitted | Failed] = TypeAdapter(
    Annotated[Admitted | Failed, Field(discriminator="kind")]
)
SKILL_OUTCOME: TypeAdapter[SkillRun | Failed] = TypeAdapter(SkillOutcome)
TRIAL_OUTCOME: TypeAdapter[Trial | Failed] = TypeAdapter(TrialOutcome)
COUNT_OUTCOME: TypeAdapter[Counted | Failed] = TypeAdapter(CountOutcome)
BENCHMARK_OUTCOME: TypeAdapter[BenchmarkRun | Failed] = TypeAdapter(BenchmarkOutcome)
Answer = dict[str, Any]
Answers = queue.SimpleQueue[Answer]


class EvaluatorProcess:
    """Judges source text in a process of its own; safe to use from several threads.

    A process that dies is replaced at the next call: what was asked of it can be asked again.
    """

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._numbers = itertools.count()
        self._waiting: dict[int, Answers] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._told = self._start()
        self.isolation = Isolation.model_validate(self._told["isolation"])

    @property
    def pid(self) -> int:
        """The number of the process that answers now; another one after it was replaced."""
        if self._process is None:
            raise ValueError("stopped")
        return self._process.pid

    @property
    def tier(self) -> Tier:
        """The tier at which it trains."""
        if self._opening.tier is None:
            raise ValueError("opened without a tier")
        return self._opening.tier

    @property
    def provenance(self) -> Provenance:
        """The hashes under which every number of it stands."""
        return Provenance.model_validate(self._told["provenance"])

    def check(
        self, source: str, *, every: bool = False, white_noise: bool = False
    ) -> GateReport | Failed:
        """Run the static policy and the gates on one source."""
        found = self._ask(what="check", source=source, every=every, white_noise=white_noise)
        if "kind" in found:
            return Failed.model_validate(found)
        return GateReport.model_validate(found)

    def evaluate(
        self,
        source: str,
        seed: int,
        baseline: Baseline | None = None,
        watch: Watcher = ignore,
        plan: Plan | None = None,
    ) -> Measured | Failed:
        """Take one source through all that is asked of a candidate; no plan: train to the end."""
        asked = {"what": "evaluate", "source": source, "seed": seed, "baseline": baseline}
        return OUTCOME.validate_python(self._ask(watch, plan=plan, **asked))

    def admit(self, source: str) -> Admitted | Failed:
        """Take one source through policy and gates, and say how large its state is."""
        return ADMISSION.validate_python(self._ask(what="admit", source=source))

    def skill(self, source: str, name: str, seed: int) -> SkillRun | Failed:
        """Train one source on one skill and score it; policy and gates came before."""
        told = self._ask(what="skill", source=source, skill=name, seed=seed)
        return SKILL_OUTCOME.validate_python(told)

    def text(self, source: str, seed: int) -> TaskScore | Failed:
        """Train one source on text and score it; policy and gates are the caller's."""
        told = self._ask(what="text", source=source, seed=seed)
        return (Failed if "kind" in told else TaskScore).model_validate(told)

    def trial(self, source: str, seed: int, setup: Setup) -> Trial | Failed:
        """Train one source on text at a size and rate, score it and audit the weights."""
        told = self._ask(what="trial", source=source, seed=seed, setup=setup)
        return TRIAL_OUTCOME.validate_python(told)

    def count(self, source: str, setup: Setup) -> Counted | Failed:
        """Count the values in the weights of one source at a size."""
        return COUNT_OUTCOME.validate_python(self._ask(what="count", source=source, setup=setup))

    def prepare(self, tasks: tuple[str, ...], limit: int) -> list[TaskItems]:
        """Load benchmark tasks and say what would be asked; UserError for what is not there."""
        told = self._ask(what="prepare", source="", tasks=tasks, limit=limit)
        return [TaskItems.model_validate(items) for items in told["tasks"]]

    def benchmark(
        self, source: str, seed: int, tasks: tuple[str, ...], limit: int
    ) -> BenchmarkRun | Failed:
        """Train one source on text and ask it benchmark tasks; policy and gates came before."""
        told = self._ask(what="benchmark", source=source, seed=seed, tasks=tasks, limit=limit)
        return BENCHMARK_OUTCOME.validate_python(told)

    def rehearse(self, source: str, steps: int) -> Measured | Failed:
        """Take one source through everything with a few steps only: does it run at all?"""
        return OUTCOME.validate_python(self._ask(what="rehearse", source=source, steps=steps))

    def stop(self) -> None:
        """End the process and every box; whoever waits for an answer gets `Stopped`."""
        self._stopped.set()
        with self._lock:
            self._hang_up()

    def _ask(self, watch: Watcher = ignore, **asked: Any) -> Answer:  # noqa: ANN401 - fields of a Call
        answers: Answers = queue.SimpleQueue()
        call = Call(id=next(self._numbers), **asked)
        with self._lock:
            if self._stopped.is_set():
                raise Stopped
            line = call.model_dump_json().encode() + b"\n"
            try:
                waiting = self._send(call.id, line, answers)
            except OSError:
                # It died since the last call; another one is as good.
                self._hang_up()
                self._told = self._start()
                waiting = self._send(call.id, line, answers)
        try:
            return self._outcome(answers, watch)
        finally:
            waiting.pop(call.id, None)

    def _send(self, number: int, line: bytes, answers: Answers) -> dict[int, Answers]:
        waiting = self._waiting
        waiting[number] = answers
        self._connection.sendall(line)
        return waiting

    def _outcome(self, answers: Answers, watch: Watcher) -> Answer:
        while True:
            told = answers.get()
            if "outcome" in told:
                outcome: Answer = told["outcome"]
                return outcome
            if "point" in told:
                watch(told["event"], CurvePoint.model_validate(told["point"]), told["total"])
            elif "bug" in told:
                raise RuntimeError(f"the evaluating process failed:\n{told['bug']}")
            elif "refused" in told:
                raise UserError(told["refused"])
            elif self._stopped.is_set() or "stopped" in told:
                raise Stopped
            else:
                raise NurseryLost

    def _start(self) -> Answer:
        ours, theirs = socket.socketpair()
        module = ["-s", "-P", "-m", "move37.evaluation.server", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *module],
                pass_fds=[theirs.fileno()],
                env=clean_environment(os.environ) | hub_environment(os.environ),
                stdin=subprocess.DEVNULL,
                # Ctrl-C is for the orchestrator, which then ends this in order.
                start_new_session=True,
            )
        self._connection = ours
        ours.sendall(self._opening.model_dump_json().encode() + b"\n")
        lines = ours.makefile("r")
        first = lines.readline()
        if not first:
            raise RuntimeError(f"the evaluating process ended with {self._process.wait()}")
        told: Answer = json.loads(first)
        if "refused" in told:
            self._hang_up()
            raise UserError(told["refused"])
        # Its own table: the end of one process must not be told to those who ask the next.
        self._waiting = {}
        listen = threading.Thread(target=_listen, args=(lines, self._waiting), daemon=True)
        listen.start()
        return told

    def _hang_up(self) -> None:
        if self._process is None:
            return
        # A reader that waits holds the socket, so that only this ends the connection.
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _listen(lines: Iterator[str], waiting: dict[int, Answers]) -> None:
    try:
        for line in lines:
            told = json.loads(line)
            if (asked := waiting.get(told["id"])) is not None:
                asked.put(told)
    except (OSError, ValueError):
        # Cut off in the middle of a line: the process was killed.
        pass
    for asked in list(waiting.values()):
        asked.put({"lost": True})


@contextmanager
def open_evaluator(
    mode: Mode, tier: Tier | None = None, text: str | None = None, cache: Path | None = None
) -> Iterator[EvaluatorProcess]:
    """Start an evaluating process for as long as the context lasts; prepare its data before.

    `cache` is where corpora lie, by default that of the settings.

    Raises:
        UserError: the tier cannot run here, the text or the dataset cannot be read, or the
            machine cannot isolate as asked.
    """
    cache = (cache or load_settings().cache).expanduser().absolute()
    if tier is not None:
        require(tier)
        prepare(tier, text, cache)
    evaluator = EvaluatorProcess(Opening(mode=mode, tier=tier, text=text, cache=cache))
    try:
        yield evaluator
    finally:
        evaluator.stop()
