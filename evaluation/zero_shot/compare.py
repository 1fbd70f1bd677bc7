"""A design beside the baseline on benchmarks, at one seed; the baseline's run from a cache."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from move37.arch_templates.catalog import template_source
from move37.evaluation.client import EvaluatorProcess
from move37.evaluation.zero_shot.harness import version
from move37.evaluation.zero_shot.results import BenchmarkRun, TaskItems
from move37.files import write_atomically
from move37.records import Failed, content_id

BASELINE = "delta_net"


@dataclass(frozen=True)
class Plan:
    """What is asked, at which training seed, with how many boxes, where the baseline is kept."""

    asked: tuple[TaskItems, ...]
    names: tuple[str, ...]
    limit: int
    seed: int
    slots: int
    folder: Path


def benchmark(
    evaluator: EvaluatorProcess, source: str, plan: Plan
) -> tuple[BenchmarkRun, BenchmarkRun] | Failed:
    """Return the runs of a source and of the baseline; the source has passed the gates."""
    root = template_source(BASELINE)
    with ThreadPoolExecutor(min(2, plan.slots)) as pool:
        try:
            base = pool.submit(_baseline, evaluator, plan)
            if source == root:
                return base.result(), base.result()
            asked = (source, plan.seed, plan.names, plan.limit)
            ours = pool.submit(evaluator.benchmark, *asked).result()
            return ours if isinstance(ours, Failed) else (ours, base.result())
        except BaseException:
            # Whoever interrupts this does not want to wait for the other run.
            evaluator.stop()
            raise


def _baseline(evaluator: EvaluatorProcess, plan: Plan) -> BenchmarkRun:
    """Return the run of the baseline, from the cache of this machine where it is known."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    source = template_source(BASELINE)
    key = _key(evaluator, source, plan.asked, plan.seed)
    path = plan.folder / f"{BASELINE}-{evaluator.tier.name}-{key}.json"
    with FileLock(f"{path}.lock"):
        cached = _read(path)
        if cached is not None:
            return cached
        run = evaluator.benchmark(source, plan.seed, plan.names, plan.limit)
        if isinstance(run, Failed):
            raise RuntimeError(f"{BASELINE} failed at {run.stage}: {run.reason}\n{run.log}")
        write_atomically(path, run.model_dump_json())
    return run


def _key(evaluator: EvaluatorProcess, source: str, asked: Sequence[TaskItems], seed: int) -> str:
    """Name of everything that a run depends on; the hash of the items stands for the data."""
    items = [task.model_dump() for task in asked]
    provenance = evaluator.provenance.model_dump()
    return content_id(provenance, source, items, seed, version(), length=16)


def _read(path: Path) -> BenchmarkRun | None:
    try:
        return BenchmarkRun.model_validate_json(path.read_text())
    except (FileNotFoundError, ValidationError):
        # Absent, or from a version with other fields: measured anew.
        return None
