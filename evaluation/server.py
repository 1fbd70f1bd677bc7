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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from move37.evaluation.data import check_length, load_corpus
from move37.evaluation.evaluate import Evaluator, check
from move37.evaluation.isolation.nursery import Nursery, NurseryLost, Stopped
from move37.evaluation.isolation.obtain import Mode, open_nursery
from move37.evaluation.skills.measure import SkillJudge
from move37.evaluation.tiers import Tier
from move37.evaluation.training import require_cuda
from move37.records import Baseline, CurvePoint, UserError, Value


class Opening(Value):
    """The first line to this process: how to isolate; tier and text unless only gates are run."""

    mode: Mode
    tier: Tier | None = None
    text: str | None = None
    cache: Path | None = None


class Call(Value):
    """One request; `steps` is for a rehearsal, `skill` names what a run of a skill trains on."""

    id: int
    what: str
    source: str
    every: bool = False
    white_noise: bool = False
    seed: int = 0
    steps: int = 0
    skill: str = ""
    baseline: Baseline | None = None


class Server:
    """Answers calls side by side, each in a thread."""

    def __init__(
        self,
        out: IO[str],
        nursery: Nursery,
        evaluator: Evaluator | None,
        skills: SkillJudge | None,
    ) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._nursery = nursery
        self._evaluator = evaluator
        self._skills = skills

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
        except BaseException:  # noqa: BLE001 - the top of this process: the caller raises it again
            self.tell(id=call.id, bug=traceback.format_exc())
        else:
            self.tell(id=call.id, outcome=outcome)

    def _outcome(self, call: Call) -> dict[str, Any]:
        if call.what == "check":
            report = check(
                call.source, self._nursery, every=call.every, white_noise=call.white_noise
            )
            return report.model_dump(mode="json")
        if self._evaluator is None or self._skills is None:
            raise ValueError("opened without a tier, so there is nothing to train at")
        if call.what == "admit":
            return self._evaluator.admit(call.source).model_dump(mode="json")
        if call.what == "skill":
            return self._skills.run(call.source, call.skill, call.seed).model_dump(mode="json")
        if call.what == "rehearse":
            return self._evaluator.rehearse(call.source, call.steps).model_dump(mode="json")

        def watch(event: str, point: CurvePoint, total: int) -> None:
            self.tell(id=call.id, event=event, point=point.model_dump(), total=total)

        outcome = self._evaluator.evaluate(call.source, call.seed, call.baseline, watch)
        return outcome.model_dump(mode="json")


def main() -> None:
    """Open what the first line asks for, say what was obtained, and answer until the end."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    lines, out = connection.makefile("r"), connection.makefile("w")
    opening = Opening.model_validate_json(lines.readline())
    try:
        with open_nursery(opening.mode) as (nursery, isolation):
            evaluator = skills = None
            if opening.tier:
                corpus = load_corpus(opening.text, opening.tier, opening.cache)
                check_length(corpus, opening.tier)
                if opening.tier.device == "cuda":
                    require_cuda(nursery)
                evaluator = Evaluator(opening.tier, corpus, nursery)
                skills = SkillJudge(opening.tier, corpus, nursery)
            server = Server(out, nursery, evaluator, skills)
            provenance = evaluator.provenance.model_dump() if evaluator else None
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
