"""The command line. Imports inside the commands are lazy, so that `--help` answers at once."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from move37.records import Failed, GateReport, GateResult, Measured, UserError
from move37.settings import Settings, load_settings

if TYPE_CHECKING:
    from move37.evaluation.isolation.obtain import Isolation
    from move37.memory.store import Store
    from move37.records import Campaign, CampaignConfig, Candidate, Experiment

app = typer.Typer(
    name="move37",
    help="Discover token mixers: invent, train, judge, learn. Every claim survives an audit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

CampaignName = Annotated[
    str | None, typer.Option("--campaign", "-c", help="Name of the campaign; default: the latest.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
TierName = Annotated[
    str, typer.Option("--tier", "-t", help="smoke, laptop, or the path of a .toml file.")
]
TextPath = Annotated[
    str | None, typer.Option("--text", help="Train on this file or folder of text instead.")
]
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
EXIT_FAILED, EXIT_USER, EXIT_STOPPED = 1, 2, 130
# More than any candidate may have; what is longer is refused by the policy all the same.
READ_LIMIT = 1 << 20


def main() -> None:
    """Run the command line; what a user can mend becomes one line and exit code 2."""
    try:
        app()
    except UserError as error:
        _end(str(error))
    except OSError as error:
        # Full or read-only disks and missing rights can meet any write; the rest is a bug of ours.
        if error.errno not in DISK_ERRORS:
            raise
        _end(f"{error.strerror}: {error.filename or 'a file'}; free space or choose MOVE37_HOME")


def _end(message: str) -> NoReturn:
    typer.echo(f"move37: {' '.join(message.split())}", err=True)
    sys.exit(EXIT_USER)


def parse_budget(text: str) -> float:
    """Return the seconds of a duration such as `90s`, `30m`, `2h` or `1h30m`.

    Raises:
        UserError: a unit is missing or unknown.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise UserError(f"--budget {text}: write a number with a unit: 90s, 30m, 2h or 1h30m")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


# --- running -----------------------------------------------------------------------------------


@app.command()
def run(
    experiments: Annotated[
        int | None, typer.Option("--experiments", "-n", help="How many; default 8.", min=1)
    ] = None,
    tier: TierName = "laptop",
    budget: Annotated[
        str | None, typer.Option(help="Start no experiment after this time, such as 30m.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
    campaign: CampaignName = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a campaign.")] = False,
    fitness: Annotated[str, typer.Option(help="calibrated or paper.")] = "calibrated",
    text: TextPath = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show log lines.")] = False,
) -> None:
    """Run a campaign of experiments, or go on with one."""
    from move37.graph.lab import complete

    settings = load_settings()
    seconds = parse_budget(budget) if budget is not None else None
    if resume:
        config = _stored_config(settings, campaign, experiments, seconds)
    else:
        chosen = {
            "name": campaign or datetime.now(UTC).strftime("c%Y%m%d-%H%M%S"),
            "tier": tier,
            "seed": seed,
            "experiments": experiments or 8,
            "budget_seconds": seconds,
            "fitness": fitness,
            "text": str(Path(text).expanduser().resolve()) if text else None,
        }
        config = complete(_new_config(chosen), settings)
    _run(config, settings, verbose)


def _new_config(chosen: dict[str, Any]) -> CampaignConfig:
    from pydantic import ValidationError

    from move37.records import CampaignConfig

    try:
        return CampaignConfig.model_validate(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"--{first['loc'][0]}: {first['msg']}") from None


def _stored_config(
    settings: Settings, name: str | None, experiments: int | None, seconds: float | None
) -> CampaignConfig:
    with _store(settings) as store:
        found = _campaign(store, name)
        size = max(experiments or 0, found.config.experiments)
        store.resize(found.config.name, size, seconds)
    return found.config.model_copy(update={"experiments": size, "budget_seconds": seconds})


def _run(config: CampaignConfig, settings: Settings, verbose: bool) -> None:
    from move37.display import console
    from move37.graph.campaign import run_campaign
    from move37.graph.lab import check_request
    from move37.live import LiveBoard
    from move37.logs import configure_logs

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    check_request(config, settings)
    terminal = console()
    configure_logs(settings.home / config.name, verbose=verbose, quiet=terminal.is_terminal)
    try:
        with LiveBoard(config, terminal) as board:
            run_campaign(config, settings, board.update)
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; go on with: move37 run --resume --campaign {config.name}", err=True)
        sys.stdout.flush()
        # A provider that hangs must not hold the terminal; every write so far is on the disk.
        os._exit(EXIT_STOPPED)
    _show_end(config.name, settings)


def _show_end(name: str, settings: Settings) -> None:
    from move37.display import console, family_tree, leaderboard
    from move37.evaluation.standing import best

    with _store(settings) as store:
        found, experiments = _campaign(store, name), store.experiments(name)
        path = _write_report(found, experiments, settings)
    console().print(leaderboard(found, experiments))
    console().print(family_tree(found, experiments))
    top = best(found, experiments)
    lines = [f"report     {path}"]
    if top:
        lines.append(f"best       {settings.home / name / top.experiment.id / 'candidate.py'}")
        lines.append(f"look       move37 show {top.experiment.number} --campaign {name}")
    lines.append(f"go on      move37 run --resume --experiments {len(experiments) + 8} -c {name}")
    lines.append(f"report     move37 report -c {name}")
    typer.echo("\n".join(lines))


# --- looking -----------------------------------------------------------------------------------


@app.command()
def status(campaign: CampaignName = None, as_json: AsJson = False) -> None:
    """Say where a campaign stands."""
    from move37.display import console, status_view

    settings = load_settings()
    with _store(settings) as store:
        found = _campaign(store, campaign)
        experiments = store.experiments(found.config.name)
    if as_json:
        states = [
            {"number": e.number, "status": e.status, "fitness": e.fitness} for e in experiments
        ]
        _print_json({"campaign": found.config.model_dump(mode="json"), "experiments": states})
        return
    console().print(status_view(found, experiments))


@app.command()
def show(
    number: Annotated[str, typer.Argument(metavar="ID", help="Number or id of an experiment.")],
    campaign: CampaignName = None,
    as_json: AsJson = False,
) -> None:
    """Show one experiment: motivation, lineage, gates, curves, code diff against the parent."""
    from move37.display import console, experiment_view

    settings = load_settings()
    with _store(settings) as store:
        found = _campaign(store, campaign)
        experiments = store.experiments(found.config.name)
    experiment = next((e for e in experiments if number in (str(e.number), e.id)), None)
    if experiment is None:
        known = f"1 to {experiments[-1].number}" if experiments else "none yet"
        raise UserError(
            f"campaign {found.config.name} has no experiment {number} (there are: {known})"
        )
    if as_json:
        typer.echo(experiment.model_dump_json(indent=1))
        return
    parent = _parent_code(found, experiments, experiment)
    console().print(experiment_view(found, experiment, parent))


@app.command()
def tree(campaign: CampaignName = None) -> None:
    """Draw the family tree of a campaign."""
    from move37.display import console, family_tree

    settings = load_settings()
    with _store(settings) as store:
        found = _campaign(store, campaign)
        console().print(family_tree(found, store.experiments(found.config.name)))


@app.command()
def report(campaign: CampaignName = None) -> None:
    """Write the campaign's report: one HTML file that opens offline."""
    settings = load_settings()
    with _store(settings) as store:
        found = _campaign(store, campaign)
        path = _write_report(found, store.experiments(found.config.name), settings)
    typer.echo(str(path))


def _write_report(found: Campaign, experiments: list[Experiment], settings: Settings) -> Path:
    from move37.report import write_report

    path = settings.home / found.config.name / "report.html"
    return write_report(found, experiments, _root(found), path)


def _root(found: Campaign) -> Candidate:
    from move37.graph.lab import root_candidate

    if found.baseline is None:
        raise UserError(
            f"campaign {found.config.name} has no baseline yet; "
            f"go on with: move37 run --resume --campaign {found.config.name}"
        )
    return root_candidate(found.baseline)


def _parent_code(found: Campaign, experiments: list[Experiment], child: Experiment) -> str:
    for experiment in experiments:
        if experiment.number == child.parent and experiment.proposal:
            return experiment.proposal.code
    return _root(found).code


def _store(settings: Settings) -> Store:
    from move37.graph.lab import open_store

    return open_store(settings)


def _campaign(store: Store, name: str | None) -> Campaign:
    campaigns = store.campaigns()
    if not campaigns:
        raise UserError("there is no campaign yet; start one with: move37 run")
    if name is None:
        return max(campaigns, key=lambda c: c.created)
    for found in campaigns:
        if found.config.name == name:
            return found
    names = ", ".join(c.config.name for c in campaigns[-5:])
    raise UserError(f"there is no campaign {name!r}; the latest are {names}")


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=1))


# --- judging one file --------------------------------------------------------------------------


@app.command()
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
    source = _read_source(file)
    with _judging(), open_evaluator(load_settings().isolation) as evaluator:
        result = evaluator.check(source, every=every, white_noise=white_noise)
        isolation = evaluator.isolation
    if as_json:
        _print_json(check_report(file.name, result, isolation))
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
    with _judging(), open_evaluator(settings.isolation) as evaluator:
        check_all = partial(evaluator.check, every=True, white_noise=white_noise)
        for audited in audit(programs, check_all, slots(settings)):
            found.append(audited)
            if not as_json:
                terminal.print(line(audited, len(found), len(programs)))
        isolation = evaluator.isolation
    if as_json:
        reports = [check_report(a.program.name, a.result, isolation) for a in found]
        _print_json({"programs": reports, "totals": totals(found)})
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
def _judging() -> Iterator[None]:
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


@app.command()
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
        code=_read_source(file),
    )
    settings = load_settings()
    with _judging(), LiveBoard(CampaignConfig(name="evaluate", experiments=1)) as board:
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


@app.command()
def templates(as_json: AsJson = False) -> None:
    """List the hand-written templates: size, state, growth of cost, decoding, all measured."""
    from move37.arch_templates.catalog import BOUNDS, TEMPLATES
    from move37.display import console, isolation_line, templates_view
    from move37.evaluation.isolation.obtain import open_nursery
    from move37.evaluation.sheet import measure_all

    with _judging(), open_nursery(load_settings().isolation) as (nursery, isolation):
        sheets = measure_all(TEMPLATES + BOUNDS, nursery)
    if as_json:
        _print_json(
            [sheet.model_dump(mode="json") | {"decodes": sheet.decodes} for sheet in sheets]
        )
        return
    console().print(templates_view(sheets), isolation_line(isolation.tier, isolation.remark))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has and lacks, and which tier fits, one line each."""
    from move37.display import console, findings_view
    from move37.doctor import examine

    findings = examine(load_settings())
    if as_json:
        _print_json([finding.model_dump() for finding in findings])
        return
    rows = [(f.name, f.ok, f.detail, "" if f.ok else f.advice) for f in findings]
    console().print(findings_view(rows))


def _read_source(file: Path) -> str:
    try:
        with file.open(encoding="utf-8-sig") as opened:
            text = opened.read(READ_LIMIT)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise UserError(f"{file}: cannot be read: {reason}") from None
    if not text.strip():
        raise UserError(f"{file}: is empty; a mixer file has a class TokenMixer")
    return text
