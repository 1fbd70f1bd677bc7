"""The trusted evaluating process: owns the held-out data, the clock, the limits and the loss.

`python -m move37.evaluation.server FD` speaks JSON lines on an inherited socket with the
orchestrator, which holds the keys and the store and never sees a byte of a candidate but as text
in a checked record. This process has neither keys nor store; it starts the boxes. When the
orchestrator hangs up or dies, the socket ends, and with it everything here.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from move37.evaluation.data import check_length, load_corpus
from move37.evaluation.evaluate import Evaluator, check
from move37.evaluation.isolation.nursery import Nursery, NurseryLost, Stopped
from move37.evaluation.isolation.obtain import Mode, open_nursery
from move37.evaluation.pruning import Plan
from move37.evaluation.skills.measure import SkillJudge
from move37.evaluation.tiers import Tier
from move37.evaluation.training import require_cuda
from move37.evaluation.verification.trial import Setup, TrialJudge
from move37.evaluation.zero_shot.judge import BenchmarkJudge
from move37.evaluation.zero_shot.results import TaskItems
from move37.records import Baseline, CurvePoint, Failed, Measured, UserError, Value


class Opening(Value):
    """The first line to this process: how to isolate; tier and text unless only gates are run."""

    mode: Mode
    tier: Tier | None = None
    text: str | None = None
    cache: Path | None = None


class Call(Value):
    """One request; `steps` is for a rehearsal, `skill` names what a run of a skill trains on.

    `setup` is the size and rate of a trial; `tasks` and `limit` are for benchmarks.
    """

    id: int
    what: str
    source: str
    every: bool = False
    white_noise: bool = False
    seed: int = 0
    steps: int = 0
    skill: str = ""
    setup: Setup | None = None
    tasks: tuple[str, ...] = ()
    limit: int = 0
    baseline: Baseline | None = None
    plan: Plan | None = None


@dataclass(frozen=True)
class Judges:
    """What trains and scores at one tier on one corpus."""

    evaluator: Evaluator
    skills: SkillJudge
    trials: TrialJudge
    benchmarks: BenchmarkJudge


class Prepared(Value):
    """What benchmark tasks would ask."""

    tasks: tuple[TaskItems, ...]


class Server:
    """Answers calls side by side, each in a thread; without judges there are only the gates."""

    def __init__(self, out: IO[str], nursery: Nursery, judges: Judges | None) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._nursery = nursery
        self._judges = judges

    def tell(self, **message: object) -> None:
        """Write one line; a peer that is gone is noticed by the reader."""
        try:
            with self._lock:
                self._out.write(json.dumps(message) + "\n")
                self._out.flush()
        except (BrokenPipeError, ConnectionResetError):
            return

    def answer(self, call: Call) -> None:
        """Answer one call with an outcome, or with why there is none."""
        try:
            outcome = self._outcome(call)
        except Stopped:
            self.tell(id=call.id, stopped=True)
        except NurseryLost:
            self.tell(id=call.id, lost=True)
        except UserError as error:
            self.tell(id=call.id, refused=str(error))
        except BaseException:  # noqa: BLE001 - the top of this process: the caller raises it again
            self.tell(id=call.id, bug=traceback.format_exc())
        else:
            self.tell(id=call.id, outcome=outcome)

    def _outcome(self, call: Call) -> dict[str, Any]:
        if call.what == "check":
            found: Value = check(
                call.source, self._nursery, every=call.every, white_noise=call.white_noise
            )
        elif self._judges is None:
            raise ValueError("opened without a tier, so there is nothing to train at")
        elif call.what == "evaluate":
            found = self._evaluate(self._judges.evaluator, call)
        else:
            found = ANSWERS[call.what](self._judges, call)
        return found.model_dump(mode="json")

    def _evaluate(self, evaluator: Evaluator, call: Call) -> Measured | Failed:
        def watch(event: str, point: CurvePoint, total: int) -> None:
            self.tell(id=call.id, event=event, point=point.model_dump(), total=total)

        return evaluator.evaluate(call.source, call.seed, call.baseline, watch, call.plan)


def _setup(call: Call) -> Setup:
    assert call.setup is not None
    return call.setup


def _prepare(judges: Judges, call: Call) -> Prepared:
    return Prepared(tasks=tuple(judges.benchmarks.prepare(call.tasks, call.limit)))


ANSWERS: dict[str, Callable[[Judges, Call], Value]] = {
    "admit": lambda judges, call: judges.evaluator.admit(call.source),
    "rehearse": lambda judges, call: judges.evaluator.rehearse(call.source, call.steps),
    "text": lambda judges, call: judges.evaluator.text(call.source, call.seed),
    "skill": lambda judges, call: judges.skills.run(call.source, call.skill, call.seed),
    "trial": lambda judges, call: judges.trials.run(call.source, call.seed, _setup(call)),
    "count": lambda judges, call: judges.trials.count(call.source, _setup(call)),
    "prepare": _prepare,
    "benchmark": lambda judges, call: judges.benchmarks.run(
        call.source, call.seed, call.tasks, call.limit
    ),
}


def _judges(opening: Opening, tier: Tier, nursery: Nursery) -> Judges:
    corpus = load_corpus(opening.text, tier, opening.cache)
    check_length(corpus, tier)
    if tier.device == "cuda":
        require_cuda(nursery)
    evaluator = Evaluator(tier, corpus, nursery)
    return Judges(
        evaluator,
        SkillJudge(tier, corpus, nursery),
        TrialJudge(tier, corpus, nursery),
        BenchmarkJudge(evaluator, corpus, nursery),
    )


def main() -> None:
    """Open what the first line asks for, say what was obtained, and answer until the end."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    lines, out = connection.makefile("r"), connection.makefile("w")
    opening = Opening.model_validate_json(lines.readline())
    try:
        with open_nursery(opening.mode) as (nursery, isolation):
            judges = _judges(opening, opening.tier, nursery) if opening.tier else None
            server = Server(out, nursery, judges)
            provenance = judges.evaluator.provenance.model_dump() if judges else None
            server.tell(isolation=isolation.model_dump(), provenance=provenance)
            with ThreadPoolExecutor(max_workers=64) as pool:
                for line in lines:
                    pool.submit(server.answer, Call.model_validate_json(line))
                nursery.close()
    except UserError as error:
        out.write(json.dumps({"refused": str(error)}) + "\n")
        out.flush()
    # Threads that still wait have nobody left to tell.
    os._exit(0)


if __name__ == "__main__":
    main()
