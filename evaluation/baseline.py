"""The noise floor: the root template at several seeds, measured once a tier and machine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from filelock import FileLock
from pydantic import ValidationError

from move37.evaluation.client import EvaluatorProcess
from move37.evaluation.evaluate import TASKS, Watcher
from move37.files import write_atomically
from move37.records import Baseline, CurvePoint, Failed, Measured, Noise, content_id

WatcherOf = Callable[[int], Watcher]


def load_or_measure(
    evaluator: EvaluatorProcess, name: str, source: str, folder: Path, slots: int, watch: WatcherOf
) -> Baseline:
    """Return the noise floor from the cache, or measure it with `slots` runs side by side.

    A second process that wants the same noise floor waits for the first instead of repeating it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{evaluator.tier.name}-{_cache_key(evaluator, source)}.json"
    with FileLock(f"{path}.lock"):
        cached = _read(path)
        if cached is not None:
            return cached
        baseline = measure(evaluator, name, source, slots, watch)
        write_atomically(path, baseline.model_dump_json())
    return baseline


def measure(
    evaluator: EvaluatorProcess, name: str, source: str, slots: int, watch: WatcherOf
) -> Baseline:
    """Run the root template at seeds 0, 1, ... of the tier."""
    seeds = range(evaluator.tier.baseline_seeds)
    with ThreadPoolExecutor(max_workers=slots) as pool:
        try:
            runs = list(pool.map(lambda s: evaluator.evaluate(source, s, watch=watch(s)), seeds))
        except BaseException:
            # Whoever interrupts this does not want to wait for the other seeds.
            evaluator.stop()
            raise
    return summarise(evaluator, name, source, [_required(name, run) for run in runs])


def _required(name: str, run: Measured | Failed) -> Measured:
    if isinstance(run, Failed):
        raise RuntimeError(f"the template {name} failed at {run.stage}: {run.reason}\n{run.log}")
    return run


def summarise(
    evaluator: EvaluatorProcess, name: str, source: str, runs: list[Measured]
) -> Baseline:
    """Turn the runs of one source into means, standard deviations and a mean curve."""
    noise = {}
    for task in TASKS:
        losses = np.array([run.loss(task) for run in runs])
        noise[task] = Noise(mean=losses.mean(), sd=losses.std(ddof=1), seeds=len(losses))
    return Baseline(
        name=name,
        code=source,
        tier=evaluator.tier.name,
        noise=noise,
        size=runs[0].size,
        step_seconds=_step_seconds(runs),
        curve=_mean_curve(runs),
        scores=tuple(score for run in runs for score in run.scores),
        provenance=evaluator.provenance,
    )


def _step_seconds(runs: list[Measured]) -> dict[str, float]:
    """CPU seconds a training step, the median over the runs."""
    return {task: float(np.median([r.cost.step_seconds[task] for r in runs])) for task in TASKS}


def _mean_curve(runs: list[Measured]) -> tuple[CurvePoint, ...]:
    points = zip(*(run.curve for run in runs), strict=True)
    return tuple(
        CurvePoint(
            task=same[0].task,
            step=same[0].step,
            loss=float(np.mean([p.loss for p in same])),
            seconds=float(np.mean([p.seconds for p in same])),
        )
        for same in points
    )


def _cache_key(evaluator: EvaluatorProcess, source: str) -> str:
    """Name of everything that a cached noise floor of this source depends on."""
    return content_id(evaluator.provenance.model_dump(), source, length=16)


def _read(path: Path) -> Baseline | None:
    try:
        return Baseline.model_validate_json(path.read_text())
    except (FileNotFoundError, ValidationError):
        # Absent, or from a version with other fields: measured anew.
        return None
