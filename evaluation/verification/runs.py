"""Trials side by side, each kept once it ended: a kill loses those under way and no other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from move37.evaluation.client import EvaluatorProcess
from move37.evaluation.verification.trial import Counted, Setup, Trial
from move37.files import write_atomically
from move37.records import Failed, Value, content_id


class Job(Value):
    """One trial that is wanted."""

    source: str
    setup: Setup
    seed: int


class Step(Value):
    """A sign of life: so many trials of a phase have ended."""

    phase: str
    done: int
    total: int


Tell = Callable[[Step], None]


def code_hash(source: str) -> str:
    """Return the name of a program in a certificate: SHA-256 of its text."""
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Bench:
    """Where trials are run: the judge, how many side by side, and where they are kept."""

    evaluator: EvaluatorProcess
    slots: int
    folder: Path
    tell: Tell

    def run(self, phase: str, jobs: Sequence[Job]) -> list[Trial | Failed]:
        """Return what came of each job, in their order; the same job is run once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = list(dict.fromkeys(jobs))
        self.tell(Step(phase=phase, done=0, total=len(wanted)))
        with ThreadPoolExecutor(max_workers=self.slots) as pool:
            futures = {pool.submit(self.trial, job): job for job in wanted}
            found: dict[Job, Trial | Failed] = {}
            try:
                for future in as_completed(futures):
                    found[futures[future]] = future.result()
                    self.tell(Step(phase=phase, done=len(found), total=len(wanted)))
            except BaseException:
                # Whoever interrupts this does not want to wait for the other runs.
                self.evaluator.stop()
                pool.shutdown(cancel_futures=True)
                raise
        return [found[job] for job in jobs]

    def trial(self, job: Job) -> Trial | Failed:
        """Return one trial, from this machine's cache where it is known."""
        path = self.path_of(job)
        with FileLock(f"{path}.lock"):
            try:
                return Trial.model_validate_json(path.read_text())
            except (FileNotFoundError, ValidationError):
                # Absent, or from a version with other fields: run anew.
                pass
            found = self.evaluator.trial(job.source, job.seed, job.setup)
            if isinstance(found, Trial):
                write_atomically(path, found.model_dump_json())
        return found

    def count(self, source: str, setup: Setup) -> int | Failed:
        """Return the parameters of a source at a size."""
        found = self.evaluator.count(source, setup)
        return found.parameters if isinstance(found, Counted) else found

    def path_of(self, job: Job) -> Path:
        """Return the file of a trial: its name hangs on everything that its loss hangs on."""
        provenance = self.evaluator.provenance.model_dump()
        setup = job.setup.model_dump()
        key = content_id(provenance, job.source, setup, job.seed, length=24)
        return self.folder / f"trial-{key}.json"
