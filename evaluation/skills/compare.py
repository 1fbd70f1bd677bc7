"""A design beside the baseline on all skills: runs side by side, the baseline's from the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from move37.arch_templates.catalog import template_source
from move37.evaluation.client import EvaluatorProcess
from move37.evaluation.skills.results import (
    SkillFailed,
    SkillResult,
    SkillRun,
    summarise,
)
from move37.evaluation.skills.settings import load_skill_settings
from move37.files import write_atomically
from move37.records import Failed, content_id

BASELINE = "delta_net"


@dataclass(frozen=True)
class Plan:
    """Which skills at which seeds, with how many boxes, and where the baseline's runs are kept."""

    skills: tuple[str, ...]
    seeds: int
    slots: int
    folder: Path


def states(evaluator: EvaluatorProcess, source: str) -> tuple[int, int] | Failed:
    """Take a source through the gates; return its state and the baseline's in bytes a layer."""
    root = template_source(BASELINE)
    sizes = []
    for text in (source, root):
        admitted = evaluator.admit(text)
        if isinstance(admitted, Failed):
            if text == root:
                raise RuntimeError(f"{BASELINE} failed at {admitted.stage}: {admitted.reason}")
            return admitted
        sizes.append(admitted.state_bytes)
    return sizes[0], sizes[1]


def compare(
    evaluator: EvaluatorProcess, source: str, plan: Plan
) -> Iterator[SkillResult | SkillFailed]:
    """Yield what came of each skill, in order; both designs see the same rows at a seed.

    The baseline itself is run once: a seed decides all that it does.
    """
    seeds, root = range(plan.seeds), template_source(BASELINE)
    with ThreadPoolExecutor(plan.slots) as pool:
        pending = []
        for name in plan.skills:
            base = [pool.submit(_baseline, evaluator, name, s, plan.folder) for s in seeds]
            ours: Sequence[Future[SkillRun] | Future[SkillRun | Failed]] = base
            if source != root:
                ours = [pool.submit(evaluator.skill, source, name, s) for s in seeds]
            pending.append((name, ours, base))
        try:
            for name, ours, base in pending:
                yield _joined(name, ours, base)
        except BaseException:
            # Whoever interrupts this does not want to wait for the other runs.
            evaluator.stop()
            pool.shutdown(cancel_futures=True)
            raise


def _joined(
    name: str,
    ours: Sequence[Future[SkillRun] | Future[SkillRun | Failed]],
    base: Sequence[Future[SkillRun]],
) -> SkillResult | SkillFailed:
    runs: list[SkillRun] = []
    for seed, future in enumerate(ours):
        outcome = future.result()
        if isinstance(outcome, Failed):
            return SkillFailed(skill=name, seed=seed, outcome=outcome)
        runs.append(outcome)
    return summarise(runs, [future.result() for future in base])


def _baseline(evaluator: EvaluatorProcess, name: str, seed: int, folder: Path) -> SkillRun:
    """Return a run of the baseline, from the cache of this machine where it is known."""
    folder.mkdir(parents=True, exist_ok=True)
    source, tier = template_source(BASELINE), evaluator.tier
    setting = load_skill_settings().at(tier.name)[name]
    key = content_id(
        evaluator.provenance.model_dump(), source, name, seed, setting.model_dump(), length=16
    )
    path = folder / f"{BASELINE}-{name}-{key}.json"
    with FileLock(f"{path}.lock"):
        cached = _read(path)
        if cached is not None:
            return cached
        run = evaluator.skill(source, name, seed)
        if isinstance(run, Failed):
            raise RuntimeError(f"{BASELINE} failed at {name}, {run.stage}: {run.reason}\n{run.log}")
        write_atomically(path, run.model_dump_json())
    return run


def _read(path: Path) -> SkillRun | None:
    try:
        return SkillRun.model_validate_json(path.read_text())
    except (FileNotFoundError, ValidationError):
        # Absent, or from a version with other fields: measured anew.
        return None
