"""Real runs for a calibration: a source, a metric, a seed, and one held-out loss, kept on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

from filelock import FileLock
from pydantic import ValidationError

from move37.evaluation.calibration.pairs import TEXT
from move37.evaluation.client import EvaluatorProcess
from move37.evaluation.skills.results import SkillRun
from move37.evaluation.skills.settings import load_skill_settings
from move37.files import write_atomically
from move37.records import Failed, Finite, TaskScore, UserError, Value, content_id


class Job(NamedTuple):
    """What is to be trained: source text, `text` or the name of a skill, and the seed."""

    source: str
    metric: str
    seed: int


class Run(Value):
    """One run that ended: held-out `loss` in nats a scored token, wall-clock `seconds`."""

    kind: Literal["run"] = "run"
    metric: str
    seed: int
    loss: Finite
    seconds: Finite


class Runs:
    """Runs of one evaluator, side by side, each from the cache where it is known.

    A run is written when it ends, so that a calibration that was killed goes on where it was. A
    failure is not kept: it may have been one of memory.
    """

    def __init__(
        self,
        evaluator: EvaluatorProcess,
        folder: Path,
        slots: int,
        ended: Callable[[Job, float], None],
    ) -> None:
        self._evaluator = evaluator
        self._folder = folder
        self._slots = slots
        self._ended = ended

    def all(self, jobs: Sequence[Job]) -> dict[Job, Run | Failed]:
        """Return what came of each job; a job that stands there twice is done once.

        Raises:
            UserError: the machine was too busy for one of them.
        """
        needed = list(dict.fromkeys(jobs))
        with ThreadPoolExecutor(self._slots) as pool:
            try:
                return dict(zip(needed, pool.map(self.one, needed), strict=True))
            except BaseException:
                # Whoever interrupts this does not want to wait for the other runs.
                self._evaluator.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def one(self, job: Job) -> Run | Failed:
        """Return one run.

        Raises:
            UserError: the machine was too busy for it.
        """
        path = self._path(job)
        with FileLock(f"{path}.lock"):
            cached = _read(path)
            if cached is not None:
                return cached
            start = time.monotonic()
            found = self._measure(job, start)
            self._ended(job, time.monotonic() - start)
            if isinstance(found, Run):
                write_atomically(path, found.model_dump_json())
        return found

    def _measure(self, job: Job, start: float) -> Run | Failed:
        found: TaskScore | SkillRun | Failed
        if job.metric == TEXT:
            found = self._evaluator.text(job.source, job.seed)
        else:
            found = self._evaluator.skill(job.source, job.metric, job.seed)
        if isinstance(found, Failed):
            if found.stage == "timeout":
                # Every design here is known to end in time: this says something of the machine.
                raise UserError(
                    f"a run on {job.metric} did not end in time ({found.reason}): the machine is "
                    "too busy; give the same command again, what ended is kept"
                )
            return found
        seconds = time.monotonic() - start
        return Run(metric=job.metric, seed=job.seed, loss=found.loss, seconds=seconds)

    def _path(self, job: Job) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = {}
        if job.metric != TEXT:
            settings = load_skill_settings().at(self._evaluator.tier.name)[job.metric].model_dump()
        stamp = self._evaluator.provenance.model_dump()
        key = content_id(stamp, settings, *job, length=16)
        return self._folder / f"{self._evaluator.tier.name}-{job.metric}-{job.seed}-{key}.json"


def _read(path: Path) -> Run | None:
    try:
        return Run.model_validate_json(path.read_text())
    except (FileNotFoundError, ValidationError):
        # Absent, or from a version with other fields: measured anew.
        return None


def seconds_a_run(folder: Path, tier: str) -> float | None:
    """Return the median time of the runs of a tier that are kept, or None where there is none."""
    kept = [run.seconds for path in folder.glob(f"{tier}-*.json") if (run := _read(path))]
    return median(kept) if kept else None
