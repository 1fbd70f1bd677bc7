"""The command line. Imports inside the commands are lazy, so that `--help` answers at once."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from move37.records import Failed, GateReport, Measured, UserError
from move37.settings import Settings, load_settings

if TYPE_CHECKING:
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
    console().print(experiment_view(experiment, _parent_code(found, experiments, experiment)))


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
    as_json: AsJson = False,
) -> None:
    """Run the gates on one mixer file: exit code 0 passed, 1 failed, 2 could not be judged."""
    from move37.display import console, gate_table
    from move37.evaluation.client import open_evaluator

    source = _read_source(file)
    with open_evaluator(load_settings().isolation) as evaluator:
        result = evaluator.check(source, every=every)
    if as_json:
        typer.echo(result.model_dump_json(indent=1))
    elif isinstance(result, GateReport):
        console().print(gate_table(result))
    else:
        _print_failure(result)
    passed = isinstance(result, GateReport) and result.passed
    raise typer.Exit(0 if passed else EXIT_FAILED)


@app.command()
def evaluate(
    file: Annotated[Path, typer.Argument(help="A file with a class TokenMixer.")],
    tier: TierName = "laptop",
    seed: Annotated[int, typer.Option(help="Training seed.")] = 0,
    text: TextPath = None,
    as_json: AsJson = False,
) -> None:
    """Gates, training and fitness of one mixer file, beside the baseline's noise."""
    from move37.display import console, measured_view
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
    with LiveBoard(CampaignConfig(name="evaluate", experiments=1)) as board:
        verdict = evaluate_file(proposal, tier, text, seed, settings, board.update)
    outcome, judgement = verdict.outcome, verdict.judgement
    if as_json:
        typer.echo(verdict.model_dump_json(indent=1))
    elif isinstance(outcome, Measured):
        console().print(measured_view(outcome, verdict.baseline))
        told = f"{judgement.fitness:.3f}, delta_net has 0.500" if judgement else "not judged"
        typer.echo(f"fitness {told}")
    else:
        _print_failure(outcome)
    raise typer.Exit(0 if isinstance(outcome, Measured) else EXIT_FAILED)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has and lacks, and which tier fits, one line each."""
    from move37.display import console
    from move37.doctor import examine

    findings = examine(load_settings())
    if as_json:
        _print_json([finding.model_dump() for finding in findings])
        return
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[yellow]--[/]"
        advice = f" ({finding.advice})" if finding.advice and not finding.ok else ""
        console().print(f"{mark} {finding.name}: ", end="")
        console().print(f"{finding.detail}{advice}", markup=False, highlight=False)


def _print_failure(failed: Failed) -> None:
    from move37.display import console

    console().print(f"failed at {failed.stage}: {failed.reason}", markup=False, style="red")
    if failed.log:
        console().print(failed.log, markup=False, highlight=False)


def _read_source(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{file}: cannot be read: {reason}") from None
