"""`check`, `evaluate` and `templates`: single files before the judge."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from move37.cli.common import (
    EXIT_FAILED,
    EXIT_STOPPED,
    EXIT_USER,
    AsJson,
    TextPath,
    TierName,
    print_json,
)
from move37.records import Failed, GateReport, GateResult, Measured, UserError
from move37.settings import load_settings

if TYPE_CHECKING:
    from move37.evaluation.isolation.obtain import Isolation

# More than any candidate may have; what is longer is refused by the policy all the same.
READ_LIMIT = 1 << 20


def check(
    file: Annotated[Path, typer.Argument(help="A file with a class TokenMixer.")],
    every: Annotated[bool, typer.Option("--all", help="Do not stop at the first failure.")] = False,
    white_noise: Annotated[
        bool, typer.Option("--white-noise", help="Add G5, which trains on noise (seconds).")
    ] = False,
    gallery: Annotated[
        bool, typer.Option("--gallery", help="FILE is a JSON list of programs: audit each.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the gates on one mixer file: exit code 0 passed, 1 failed, 2 could not be judged.

    With --gallery all gates run on every program of a list, and the exit code is 0 when all could
    be judged, whatever the verdicts.
    """
    from move37.evaluation.client import open_evaluator

    if gallery:
        _check_gallery(file, white_noise, as_json)
        return
    source = read_source(file)
    with judging(), open_evaluator(load_settings().isolation) as evaluator:
        result = evaluator.check(source, every=every, white_noise=white_noise)
        isolation = evaluator.isolation
    if as_json:
        print_json(check_report(file.name, result, isolation))
    else:
        _print_check(result, isolation)
    passed = isinstance(result, GateReport) and result.passed
    raise typer.Exit(0 if passed else EXIT_FAILED)


def _check_gallery(file: Path, white_noise: bool, as_json: bool) -> None:
    from move37.display import console, isolation_line
    from move37.evaluation.client import open_evaluator
    from move37.gallery import Audited, audit, line, read_gallery, summary, totals
    from move37.graph.lab import slots

    programs, settings, terminal = read_gallery(file), load_settings(), console()
    found: list[Audited] = []
    start = time.monotonic()
    with judging(), open_evaluator(settings.isolation) as evaluator:
        check_all = partial(evaluator.check, every=True, white_noise=white_noise)
        for audited in audit(programs, check_all, slots(settings)):
            found.append(audited)
            if not as_json:
                terminal.print(line(audited, len(found), len(programs)))
        isolation = evaluator.isolation
    if as_json:
        reports = [check_report(a.program.name, a.result, isolation) for a in found]
        print_json({"programs": reports, "totals": totals(found)})
        return
    terminal.print(summary(found, time.monotonic() - start))
    terminal.print(isolation_line(isolation.tier, isolation.remark))


def check_report(name: str, result: GateReport | Failed, isolation: Isolation) -> dict[str, object]:
    """Return what `check --json` prints; README.md describes it, and programs rely on it."""
    failed = result if isinstance(result, Failed) else None
    report = failed.gates if failed else result
    passed = isinstance(report, GateReport) and report.passed and failed is None
    seconds = report.seconds if isinstance(report, GateReport) else 0.0
    seconds = seconds or (failed.cost.gate_seconds if failed else 0.0)
    gates = report.gates if isinstance(report, GateReport) else ()
    return {
        "file": name,
        "verdict": "passed" if passed else "failed",
        "stage": failed.stage if failed else "" if passed else "gate",
        "reason": failed.reason
        if failed
        else "; ".join(_complaint(g) for g in gates if not g.passed),
        "log": failed.log if failed else "",
        "gates": [gate.model_dump(mode="json") for gate in gates],
        "seconds": seconds,
        "isolation": isolation.model_dump(mode="json")
        | {"tier": isolation.tier, "complete": isolation.complete},
    }


def _complaint(gate: GateResult) -> str:
    return f"{gate.id} {gate.name}: {gate.detail}: {gate.advice}"


def _print_check(result: GateReport | Failed, isolation: Isolation) -> None:
    from move37.display import console, failure_view, isolation_line, ladder_view, verdict_line

    terminal = console()
    if isinstance(result, GateReport):
        terminal.print(ladder_view(result), verdict_line(result))
    else:
        terminal.print(failure_view(result))
    terminal.print(isolation_line(isolation.tier, isolation.remark))


@contextmanager
def judging() -> Iterator[None]:
    """Exit with `could not be judged` when the judge itself broke: that is no verdict."""
    from move37.evaluation.isolation.nursery import NurseryLost

    try:
        yield
    except NurseryLost:
        raise UserError(
            "the process that judges died before there was a verdict; run it again"
        ) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_STOPPED) from None
    except (RuntimeError, ConnectionError, ValueError):
        traceback.print_exc()
        raise typer.Exit(EXIT_USER) from None


def evaluate(
    file: Annotated[Path, typer.Argument(help="A file with a class TokenMixer.")],
    tier: TierName = "laptop",
    seed: Annotated[int, typer.Option(help="Training seed.")] = 0,
    text: TextPath = None,
    as_json: AsJson = False,
) -> None:
    """Gates, training, audit and fitness of one mixer file, beside the baseline's noise."""
    from move37.display import console, failure_view, isolation_line, measured_view
    from move37.graph.single import evaluate_file
    from move37.live import LiveBoard
    from move37.records import CampaignConfig, Proposal

    proposal = Proposal(
        name=file.stem[:80],
        motivation=f"The file {file.name}.",
        hypothesis="None was stated.",
        expected_gain=0.0,
        code=read_source(file),
    )
    settings = load_settings()
    with judging(), LiveBoard(CampaignConfig(name="evaluate", experiments=1)) as board:
        verdict = evaluate_file(proposal, tier, text, seed, settings, board.update)
    outcome, judgement = verdict.outcome, verdict.judgement
    if as_json:
        typer.echo(verdict.model_dump_json(indent=1))
        raise typer.Exit(0 if isinstance(outcome, Measured) else EXIT_FAILED)
    terminal, isolation = console(), verdict.isolation
    terminal.print(isolation_line(isolation.tier, isolation.remark))
    if isinstance(outcome, Failed):
        terminal.print(failure_view(outcome))
        raise typer.Exit(EXIT_FAILED)
    terminal.print(measured_view(outcome, verdict.baseline))
    told = f"{judgement.fitness:.3f}, delta_net has 0.500" if judgement else "not judged"
    typer.echo(f"fitness {told}")


def templates(as_json: AsJson = False) -> None:
    """List the hand-written templates: size, state, growth of cost, decoding, all measured."""
    from move37.arch_templates.catalog import BOUNDS, TEMPLATES
    from move37.display import console, isolation_line, templates_view
    from move37.evaluation.isolation.obtain import open_nursery
    from move37.evaluation.sheet import measure_all

    with judging(), open_nursery(load_settings().isolation) as (nursery, isolation):
        sheets = measure_all(TEMPLATES + BOUNDS, nursery)
    if as_json:
        print_json([sheet.model_dump(mode="json") | {"decodes": sheet.decodes} for sheet in sheets])
        return
    console().print(templates_view(sheets), isolation_line(isolation.tier, isolation.remark))


def read_source(file: Path) -> str:
    """Return the text of a mixer file; UserError when there is none."""
    try:
        with file.open(encoding="utf-8-sig") as opened:
            text = opened.read(READ_LIMIT)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise UserError(f"{file}: cannot be read: {reason}") from None
    if not text.strip():
        raise UserError(f"{file}: is empty; a mixer file has a class TokenMixer")
    return text
