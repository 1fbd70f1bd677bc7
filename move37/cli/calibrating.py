"""`calibrate`: what the judge claims of nothing, and whether it orders pairs of known order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from move37.cli.common import (
    EXIT_FAILED,
    AsJson,
    TierName,
    calibration_folder,
    print_json,
)
from move37.cli.judging import judging
from move37.records import UserError
from move37.settings import Settings, load_settings

if TYPE_CHECKING:
    from move37.evaluation.calibration.controls import Controls, Judged
    from move37.evaluation.calibration.null import Decisions, Null
    from move37.evaluation.calibration.runs import Job
    from move37.evaluation.client import EvaluatorProcess
    from move37.evaluation.tiers import Tier

# As many candidates as make more than forty real runs at a noise floor of eight seeds.
PROPOSED = 12
MOST = 1000
# How the order of the pairs is drawn.
ORDER_SEED = 37
TRIES = (1, 8, 32, 128)
SURE = 0.05
ORIGINS = {
    "real": "real runs",
    "drawn": "normal noise of the measured SD",
    "resampled": "measured losses drawn again",
}


def calibrate(
    tier: TierName = "laptop",
    aa: Annotated[
        int | None,
        typer.Option("--aa", help="Play a campaign of this many copies of the root: 4 or more."),
    ] = None,
    controls: Annotated[
        bool, typer.Option("--controls", help="Judge the pairs of known order, blind.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Hold the judge itself against what is known: copies of the root, and pairs of known order.

    Runs are kept: a calibration that was stopped goes on where it was. Exit code 0: all figures
    were reached; 1: one was missed.
    """
    from move37.evaluation.client import open_evaluator
    from move37.evaluation.tiers import load_tier

    settings, scale = load_settings(), load_tier(tier)
    _check(aa, controls, scale, settings)
    report: dict[str, object] = {"tier": scale.name}
    passed = True
    with judging(), open_evaluator(settings.isolation, scale) as evaluator:
        if controls:
            ordered = measure_controls(evaluator, settings, _told(as_json))
            report["controls"] = ordered.model_dump(mode="json") | {
                "right": ordered.right,
                "accuracy": ordered.accuracy.model_dump(),
            }
            passed = ordered.passed
            _say(controls_text(ordered), as_json)
        if aa is not None:
            null = measure_null(evaluator, settings, aa, _told(as_json))
            best = [null.best_of(tries).model_dump() for tries in TRIES]
            report["aa"] = null.model_dump(mode="json") | {"best": best}
            passed = passed and null.passed
            _say(null_text(null), as_json)
    if as_json:
        print_json(report | {"passed": passed})
    raise typer.Exit(0 if passed else EXIT_FAILED)


def measure_controls(
    evaluator: EvaluatorProcess, settings: Settings, told: Callable[[Job, float], None]
) -> Controls:
    """Train and judge all pairs of known order, as far as their runs are not kept."""
    from move37.evaluation.calibration.controls import SEEDS, measure
    from move37.evaluation.calibration.pairs import PAIRS
    from move37.evaluation.calibration.runs import Runs
    from move37.graph.lab import slots

    runs = Runs(evaluator, _folder(settings), slots(settings), told)
    stamp = (evaluator.tier.name, evaluator.provenance)
    return measure(runs, PAIRS, stamp, ORDER_SEED, SEEDS)


def measure_null(
    evaluator: EvaluatorProcess,
    settings: Settings,
    candidates: int,
    told: Callable[[Job, float], None],
) -> Null:
    """Play the campaign of copies of the root, and keep its null for all later campaigns."""
    from move37.arch_templates.catalog import template_source
    from move37.evaluation.calibration.identity import measure
    from move37.evaluation.calibration.null import save_null
    from move37.evaluation.calibration.runs import Runs
    from move37.graph.lab import slots

    runs = Runs(evaluator, _folder(settings), slots(settings), told)
    null = measure(runs, evaluator.tier, evaluator.provenance, candidates)
    save_null(null, calibration_folder(settings), template_source(null.root))
    return null


def controls_text(found: Controls) -> str:
    """Return a line for each pair, and how often the tier was right."""
    low, high = found.accuracy.low, found.accuracy.high
    count = len(found.judged)
    sure = sum(one.right and _p(one) < SURE for one in found.judged)
    lines = [_pair_line(one) for one in found.judged]
    lines += [
        "",
        f"right: {found.right} of {count}, {sure} of them with p < {SURE}; decision accuracy of "
        f"{found.tier} {found.right / count:.2f} ({low:.2f} to {high:.2f})",
        f"Gain of the design that is known to be better, in nats, over {found.seeds} paired seeds; "
        "± is one standard error.",
    ]
    return "\n".join(lines)


def _p(one: Judged) -> float:
    return one.decision.paired.p if one.decision.kind == "decided" else 1.0


def _pair_line(one: Judged) -> str:
    verdict = "right" if one.right else "wrong"
    if one.decision.kind == "decided":
        sign = 1 if one.right else -1
        paired = one.decision.paired
        told = f"{sign * paired.gain:+.3f} ± {paired.se:.3f}, p {paired.p:.2g}"
    else:
        told = " ".join(one.decision.reason.split())
    return f"{verdict:<6}{one.pair.metric:<10}{one.pair.better} before {one.pair.worse}: {told}"


def null_text(found: Null) -> str:
    """Return what was claimed of copies of the root, and how far luck carries the best of them."""
    count = len(found.losses)
    lines = [_decisions_line(part) for part in found.decisions]
    lines += ["", f"best improvement of copies of {found.root}, in nats, of {count} real losses:"]
    lines += [f"{'copies':>8}{'median':>9}{'95 %':>9}{'resampled':>12}{'95 %':>9}"]
    for tries in TRIES:
        drawn, again = found.best_of(tries), found.best_of(tries, "resampled")
        figures = f"{drawn.median:>9.4f}{drawn.high:>9.4f}{again.median:>12.4f}{again.high:>9.4f}"
        lines.append(f"{tries:>8}{figures}")
    lines += ["", f"false claims: {found.false_claims} of {found.count} decisions"]
    return "\n".join(lines)


def _decisions_line(part: Decisions) -> str:
    low, high = part.interval.low, part.interval.high
    return (
        f"{ORIGINS[part.origin]}: {part.false_claims} false claims in {part.decisions} decisions "
        f"({low:.1%} to {high:.1%}), {part.sure} with p < 0.001 alone; "
        f"{part.campaigns} x {part.candidates} candidates"
    )


def _check(aa: int | None, controls: bool, tier: Tier, settings: Settings) -> None:
    """Refuse what cannot be calibrated, and say what each part would cost.

    Raises:
        UserError: nothing was asked for, or too few or too many copies.
    """
    from move37.evaluation.calibration.identity import FEWEST

    if aa is not None and not FEWEST <= aa <= MOST:
        raise UserError(f"--aa {aa}: write a number of candidates from {FEWEST} to {MOST}")
    if aa is None and not controls:
        raise UserError(
            f"choose --controls ({_cost(_controls_runs(), tier, settings)}) "
            f"or --aa {PROPOSED} ({_cost(_aa_runs(tier), tier, settings)}), or both"
        )


def _controls_runs() -> int:
    from move37.evaluation.calibration.controls import SEEDS, jobs_of
    from move37.evaluation.calibration.pairs import PAIRS

    return len(set(jobs_of(PAIRS, SEEDS)))


def _aa_runs(tier: Tier) -> int:
    from move37.evaluation.calibration.identity import sized

    return sized(PROPOSED, tier.least, tier.baseline_seeds).runs


def _cost(runs: int, tier: Tier, settings: Settings) -> str:
    """Say how many runs, and how long they take where earlier ones tell."""
    from move37.display import duration
    from move37.evaluation.calibration.runs import seconds_a_run
    from move37.graph.lab import slots

    seconds = seconds_a_run(_folder(settings), tier.name)
    if seconds is None:
        return f"{runs} runs"
    return f"{runs} runs, about {duration(runs * seconds / slots(settings))}"


def _folder(settings: Settings) -> Path:
    return calibration_folder(settings) / "runs"


def _told(silent: bool) -> Callable[[Job, float], None]:
    """Tell people of each run that ended, beside what is printed for programs."""

    def told(job: Job, seconds: float) -> None:
        if not silent:
            typer.echo(f"trained on {job.metric}, seed {job.seed}: {seconds:.0f} s", err=True)

    return told


def _say(text: str, silent: bool) -> None:
    if not silent:
        typer.echo(f"{text}\n")
