"""`skills`: one mixer file on the synthetic skills, beside the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from move37.cli.common import EXIT_FAILED, AsJson, TierName, print_json
from move37.cli.judging import judging, read_source
from move37.settings import load_settings

if TYPE_CHECKING:
    from move37.evaluation.skills.results import Capacity, SkillFailed, SkillResult
    from move37.records import Failed, Noise

BASELINE = "delta_net"
HEADER = (
    f"{'skill':<10}{'loss':>13}{'excess':>7}{'chance':>7}{'half-way':>12}"
    f"{BASELINE:>14}{'half-way':>12}{'difference':>15}"
)
NOTE = (
    "Held-out nats a scored token, mean ± SD over {seeds} seeds; excess is over the least that\n"
    "is possible, difference is paired by seed. Half-way: the step at which the training loss,\n"
    "as the box told it, had come half of the way from chance to the floor: the median of the\n"
    "seeds that came there, and how many did."
)


def skills(
    file: Annotated[Path, typer.Argument(help="A file with a class TokenMixer.")],
    tier: TierName = "laptop",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="This skill; may be given several times.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=2, max=64, help="Seeds of each skill, two at least.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train one mixer file on each synthetic skill, beside delta_net at the same seeds.

    Exit code 0: all were measured; 1: the file failed at the gates, the audit or a limit.
    """
    from move37.display import console, isolation_line
    from move37.evaluation.client import open_evaluator
    from move37.evaluation.skills.catalog import chosen
    from move37.evaluation.skills.compare import Plan, compare, states
    from move37.evaluation.skills.settings import load_skill_settings
    from move37.evaluation.tiers import load_tier
    from move37.graph.lab import slots

    names, settings = chosen(only or []), load_settings()
    source, scale = read_source(file), load_tier(tier)
    plan = Plan(
        skills=names,
        seeds=seeds or load_skill_settings().seeds,
        slots=slots(settings),
        folder=settings.cache.expanduser() / "skills",
    )
    found: list[SkillResult | SkillFailed] = []
    tell = _silent if as_json else typer.echo
    with judging(), open_evaluator(settings.isolation, scale) as evaluator:
        isolation, state = evaluator.isolation, states(evaluator, source)
        if isinstance(state, tuple):
            tell(HEADER)
            for result in compare(evaluator, source, plan):
                found.append(result)
                tell(line(result))
    # Behind the judge: to it an early exit is one of the errors that mean a bug.
    if not isinstance(state, tuple):
        _show_refusal(file.name, state, as_json)
        raise typer.Exit(EXIT_FAILED)
    if as_json:
        report = {"file": file.name, "tier": scale.name, "seeds": plan.seeds}
        report |= {"state_bytes": state[0], "baseline_state_bytes": state[1]}
        results = [result.model_dump(mode="json") for result in found]
        stamp = isolation.model_dump(mode="json") | {"tier": isolation.tier}
        print_json({**report, "skills": results, "isolation": stamp})
    else:
        _show_end(found, state, plan.seeds)
        console().print(isolation_line(isolation.tier, isolation.remark))
    raise typer.Exit(EXIT_FAILED if any(r.kind == "failed" for r in found) else 0)


def _silent(_: str) -> None:
    """Print nothing before the one object that a program reads."""


def _show_end(
    found: Sequence[SkillResult | SkillFailed], state: tuple[int, int], seeds: int
) -> None:
    for result in found:
        if result.kind == "result" and result.capacity:
            typer.echo(f"\n{capacity_lines(result, state)}")
    typer.echo(f"\n{NOTE.format(seeds=seeds)}")


def _show_refusal(name: str, failed: Failed, as_json: bool) -> None:
    from move37.display import console, failure_view

    if as_json:
        print_json({"file": name, "failed": failed.model_dump(mode="json")})
    else:
        console().print(failure_view(failed))


def line(result: SkillResult | SkillFailed) -> str:
    """Return the line of one skill."""
    from move37.display import plain

    if result.kind == "failed":
        why = f"failed at {result.outcome.stage}, seed {result.seed}: {result.outcome.reason}"
        return f"{result.skill:<10} {plain(' '.join(why.split())).plain}"
    difference = f"{result.difference.mean:+.3f} ± {result.difference.sd:.3f}"
    return (
        f"{result.skill:<10}{_told(result.loss):>13}{result.excess:>7.3f}{result.chance:>7.3f}"
        f"{_half_way(result.steps):>12}{_told(result.baseline):>14}"
        f"{_half_way(result.baseline_steps):>12}{difference:>15}"
    )


def _told(noise: Noise) -> str:
    return f"{noise.mean:.3f} ± {noise.sd:.3f}"


def _half_way(steps: Sequence[int | None]) -> str:
    reached = [step for step in steps if step is not None]
    if not reached:
        return "not reached"
    return f"{median(reached):.0f} ({len(reached)}/{len(steps)})"


def capacity_lines(result: SkillResult, state: tuple[int, int]) -> str:
    """Return recall against the number of pairs: loss and share of right answers."""
    pairs = "".join(f"{point.pairs:>14}" for point in result.capacity)
    rows = (("FILE", state[0], result.capacity), (BASELINE, state[1], result.baseline_capacity))
    told = [f"{name:<12}{size:>8,}{_points(curve)}" for name, size, curve in rows]
    head = f"{'recall':<12}{'state':>8}{pairs}"
    foot = "Loss and share of right answers by pairs to recall; state in bytes a sequence and layer"
    return "\n".join((head, *told, f"{foot}."))


def _points(curve: Sequence[Capacity]) -> str:
    return "".join(f"{point.loss:>8.3f}{point.accuracy:>6.0%}" for point in curve)
