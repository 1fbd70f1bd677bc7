"""Real runs for a calibration: a source, a metric, a seed, and one held-out loss, kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

from filelock import FileLock
from pydantic import ValidationError

from move37.evaluation.calibration.pairs import TEXT
from move37.evaluation.client import EvaluatorProcess
from move37.evaluation.skills.settings import load_skill_settings
from move37.files import write_atomically
from move37.records import Failed, Finite, Value, content_id


class Job(NamedTuple):
    """What is to be trained: source text, `text` or the name of a skill, and the seed."""

    source: str
    metric: str
    seed: int


class Run(Value):
    """One run that came to its end; `loss` in nats a scored token, held out."""

    kind: Literal["run"] = "run"
    metric: str
    seed: int
    loss: Finite


class Runs:
    """Runs of one evaluator, side by side, each from the cache where it is known.

    A run is written when it ends, so that a calibration that was killed goes on where it was. A
    failure is not kept: it may have been one of time or memory.
    """

    def __init__(self, evaluator: EvaluatorProcess, folder: Path, slots: int) -> None:
        self._evaluator = evaluator
        self._folder = folder
        self._slots = slots

    def all(self, jobs: Sequence[Job]) -> dict[Job, Run | Failed]:
        """Return what came of each job; a job that stands there twice is done once."""
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
        """Return one run."""
        path = self._path(job)
        with FileLock(f"{path}.lock"):
            cached = _read(path)
            if cached is not None:
                return cached
            found = self._measure(job)
            if isinstance(found, Run):
                write_atomically(path, found.model_dump_json())
        return found

    def missing(self, jobs: Sequence[Job]) -> int:
        """Count the jobs that would have to be run."""
        return sum(_read(self._path(job)) is None for job in dict.fromkeys(jobs))

    def _measure(self, job: Job) -> Run | Failed:
        if job.metric == TEXT:
            text = self._evaluator.text(job.source, job.seed)
            if isinstance(text, Failed):
                return text
            return Run(metric=TEXT, seed=job.seed, loss=text.loss)
        skill = self._evaluator.skill(job.source, job.metric, job.seed)
        if isinstance(skill, Failed):
            return skill
        return Run(metric=job.metric, seed=job.seed, loss=skill.loss)

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
