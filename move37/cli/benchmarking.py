"""`benchmark`: one mixer file on zero-shot tasks, beside the baseline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from move37.cli.common import EXIT_FAILED, AsJson, TextPath, TierName, print_json
from move37.cli.judging import judging, read_source
from move37.records import Failed, UserError
from move37.settings import load_settings

if TYPE_CHECKING:
    from move37.evaluation.statistics.ratio import Estimate
    from move37.evaluation.zero_shot.results import BenchmarkRun, MetricResult, TaskResult

BASELINE = "delta_net"
# As many examples of each benchmark as ASI-Arch asked.
LIMIT = 500
LOCAL = "identifier_recall,closing"
HEADER = (
    f"{'task':<20}{'items':>6} {'figure':<14}{'chance':>7}{'FILE':>15}{BASELINE:>15}"
    f"{'difference':>17}"
)
NOTE = (
    "± is a standard error over the items, those of the difference are paired. Both models were\n"
    "trained once, at seed {seed}: what another seed would change is not in it. bits_per_byte is\n"
    "of the gold continuation; less is better."
)


def benchmark(
    file: Annotated[Path, typer.Argument(help="A file with a class TokenMixer.")],
    tier: TierName = "laptop",
    tasks: Annotated[
        str, typer.Option(help="Names of tasks with commas: ours, or any of the harness.")
    ] = LOCAL,
    limit: Annotated[
        int | None,
        typer.Option(min=2, help=f"The first so many items; default: the tier's, else {LIMIT}."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Training seed.")] = 0,
    text: TextPath = None,
    as_json: AsJson = False,
) -> None:
    """Train one mixer file on text, then ask tasks of lm-evaluation-harness, beside delta_net.

    Exit code 0: all were measured; 1: the file failed at the gates, the audit or a limit; 2: a task
    or its data is not there, which is said before anything is trained.
    """
    from move37.display import console, failure_view, isolation_line
    from move37.evaluation.client import open_evaluator
    from move37.evaluation.data import find_text
    from move37.evaluation.tiers import load_tier
    from move37.evaluation.zero_shot.compare import Plan
    from move37.evaluation.zero_shot.compare import benchmark as compare
    from move37.evaluation.zero_shot.harness import require
    from move37.graph.lab import slots

    require()
    names, settings = chosen(tasks), load_settings()
    source, scale = read_source(file), load_tier(tier)
    limit = limit or scale.benchmark_examples or LIMIT
    place = str(find_text(text)) if text else None
    with judging(), open_evaluator(settings.isolation, scale, place) as evaluator:
        plan = Plan(
            asked=tuple(evaluator.prepare(names, limit)),
            names=names,
            limit=limit,
            seed=seed,
            slots=slots(settings),
            folder=settings.cache.expanduser() / "benchmarks",
        )
        isolation = evaluator.isolation
        admitted = evaluator.admit(source)
        found = admitted if isinstance(admitted, Failed) else compare(evaluator, source, plan)
    if isinstance(found, Failed):
        if as_json:
            print_json({"file": file.name, "failed": found.model_dump(mode="json")})
        else:
            console().print(failure_view(found))
        raise typer.Exit(EXIT_FAILED)
    if as_json:
        stamp = isolation.model_dump(mode="json") | {"tier": isolation.tier}
        print_json({"file": file.name, "tier": scale.name, **_report(*found), "isolation": stamp})
        return
    _show(*found)
    console().print(isolation_line(isolation.tier, isolation.remark))


def chosen(tasks: str) -> tuple[str, ...]:
    """Return the names that are asked for, each once.

    Raises:
        UserError: there is none.
    """
    names = tuple(dict.fromkeys(name.strip() for name in tasks.split(",") if name.strip()))
    if not names:
        raise UserError(f"--tasks {tasks!r} names no task; ours are {LOCAL}")
    return names


def _report(ours: BenchmarkRun, theirs: BenchmarkRun) -> dict[str, object]:
    from move37.evaluation.zero_shot.harness import version
    from move37.evaluation.zero_shot.results import compare_runs

    return {
        "seed": ours.seed,
        "harness": version(),
        "text": {"file": ours.text.loss, BASELINE: theirs.text.loss},
        "tasks": [r.model_dump(mode="json") for r in compare_runs(ours.tasks, theirs.tasks)],
        "seconds": {"train": ours.train_seconds, "tasks": ours.task_seconds},
    }


def _show(ours: BenchmarkRun, theirs: BenchmarkRun) -> None:
    from move37.evaluation.zero_shot.results import compare_runs

    typer.echo(HEADER)
    for result in compare_runs(ours.tasks, theirs.tasks):
        for line in lines(result):
            typer.echo(line)
    gap = ours.text.loss - theirs.text.loss
    losses = f"{ours.text.loss:.3f} nats, {BASELINE} {theirs.text.loss:.3f} ({gap:+.3f})"
    typer.echo(f"\nheld-out text: {losses}")
    typer.echo(f"training {ours.train_seconds:.0f} s, tasks {ours.task_seconds:.0f} s")
    typer.echo(NOTE.format(seed=ours.seed))


def lines(result: TaskResult) -> Iterator[str]:
    """Yield a line for each figure of a task."""
    name, items = result.task, str(result.items)
    for metric in result.metrics:
        yield f"{name:<20}{items:>6} {_figures(metric)}"
        name = items = ""


def _figures(metric: MetricResult) -> str:
    chance = "" if metric.chance is None else f"{metric.chance:.3f}"
    difference = f"{metric.difference.mean:+.3f} ± {metric.difference.se:.3f}"
    return (
        f"{metric.name:<14}{chance:>7}{_told(metric.value):>15}{_told(metric.baseline):>15}"
        f"{difference:>17}"
    )


def _told(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} ± {estimate.se:.3f}"
