"""`move37 run`."""

from __future__ import annotations

import os
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from move37.cli.capping import MaxCalls, MaxTokens, MaxUsd, merged, parse_caps
from move37.cli.common import (
    EXIT_STOPPED,
    CampaignName,
    TextPath,
    TierName,
    campaign_of,
    null_of,
    open_store,
)
from move37.cli.looking import report_of
from move37.records import BudgetSpent, Caps, UserError
from move37.settings import Settings, load_settings

if TYPE_CHECKING:
    from move37.agents.models.tape import Tape
    from move37.records import CampaignConfig

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def run(
    experiments: Annotated[
        int | None, typer.Option("--experiments", "-n", help="How many; default 8.", min=1)
    ] = None,
    tier: TierName = "laptop",
    budget: Annotated[
        str | None, typer.Option(help="Start no experiment after this time, such as 30m.")
    ] = None,
    max_usd: MaxUsd = None,
    max_tokens: MaxTokens = None,
    max_calls: MaxCalls = None,
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
    campaign: CampaignName = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a campaign.")] = False,
    fitness: Annotated[str, typer.Option(help="calibrated or paper.")] = "calibrated",
    text: TextPath = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Leave out cognition, analysis or novelty; may be repeated."),
    ] = None,
    policy: Annotated[
        str, typer.Option(help="How parents are chosen: posterior, paper, best-of-n or random.")
    ] = "posterior",
    early_stopping: Annotated[
        bool, typer.Option(help="Stop runs that lag behind earlier ones; one in twenty is spared.")
    ] = True,
    arms: Annotated[
        str | None,
        typer.Option(help="Control arms with their shares, such as best-of-n=0.2,random=0.1."),
    ] = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="Ask before each training; needs a terminal.")
    ] = False,
    record: Annotated[
        Path | None, typer.Option(help="Store every model call in this new file, a cassette.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="Run the campaign of a cassette again, without a key.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show log lines.")] = False,
) -> None:
    """Run a campaign of experiments, or go on with one."""
    settings = load_settings()
    if approve and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("--approve asks on a terminal, and there is none: leave it out")
    seconds = parse_budget(budget) if budget is not None else None
    caps = parse_caps(max_usd, max_tokens, max_calls)
    chosen = {
        "name": campaign or datetime.now(UTC).strftime("c%Y%m%d-%H%M%S"),
        "tier": tier,
        "seed": seed,
        "experiments": experiments or 8,
        "budget_seconds": seconds,
        "caps": caps,
        "fitness": fitness,
        "text": str(Path(text).expanduser().resolve()) if text else None,
        "without": tuple(without or ()),
        "policy": policy,
        "early_stopping": early_stopping,
        "arms": parse_arms(arms) if arms is not None else {},
    }
    new = None if resume or replay else _new_config(chosen)

    # What takes seconds to import waits until the words were understood.
    from move37.agents.models.tape import Player, Recorder, Tape
    from move37.graph.lab import complete

    tape = Tape()
    if replay is not None:
        tape = Tape(player=Player(replay))
        config = _replayed(replay, tape, settings)
    elif new is None:
        config = _stored_config(settings, campaign, experiments, seconds, caps)
    else:
        config = complete(new, settings)
    if record is not None:
        tape = Tape(recorder=Recorder(record, config, resume=resume))
    _run(config, settings, tape, verbose=verbose, approve=approve)


def _replayed(path: Path, tape: Tape, settings: Settings) -> CampaignConfig:
    """Return the configuration of a cassette, whose campaign must not stand here already."""
    assert tape.player is not None
    config = tape.player.config
    with open_store(settings) as store:
        ended = len(store.experiments(config.name))
    if ended >= config.experiments:
        raise UserError(
            f"--replay {path}: campaign {config.name} is here already; play it in another folder: "
            f"MOVE37_HOME=replayed move37 run --replay {path}"
        )
    return config


def _new_config(chosen: dict[str, Any]) -> CampaignConfig:
    from pydantic import ValidationError

    from move37.records import CampaignConfig

    try:
        return CampaignConfig.model_validate(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"--{first['loc'][0]}: {first['msg']}") from None


def _stored_config(
    settings: Settings,
    name: str | None,
    experiments: int | None,
    seconds: float | None,
    caps: Caps,
) -> CampaignConfig:
    with open_store(settings) as store:
        found = campaign_of(store, name)
        size = max(experiments or 0, found.config.experiments)
        caps = merged(found.config.caps, caps)
        return store.resize(found.config.name, size, seconds, caps).config


def _run(
    config: CampaignConfig, settings: Settings, tape: Tape, *, verbose: bool, approve: bool
) -> None:
    from move37.graph.fork import is_decided
    from move37.graph.lab import check_request

    played = tape.player is not None
    check_request(config, settings, outside=is_decided(config), played=played)
    spent = carry_out(config, settings, tape, verbose=verbose, approve=approve)
    _show_end(config, settings)
    if spent is not None:
        tell_stopped(spent, config)
    if tape.player is not None:
        differing = len(tape.player.differing)
        typer.echo(f"replayed   {differing} calls were asked otherwise than at the recording")


def carry_out(
    config: CampaignConfig,
    settings: Settings,
    tape: Tape,
    *,
    verbose: bool = False,
    approve: bool = False,
) -> BudgetSpent | None:
    """Run a campaign that was looked at already; return what cap it met."""
    from move37.display import console
    from move37.graph.campaign import run_campaign
    from move37.live import LiveBoard
    from move37.logs import configure_logs

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if tape.player is None:
        tell_costs(config, settings)
    terminal = console()
    configure_logs(settings.home / config.name, verbose=verbose, quiet=terminal.is_terminal)
    try:
        with LiveBoard(config, terminal) as board:
            run_campaign(config, settings, board.update, board.ask if approve else None, tape)
    except BudgetSpent as met:
        return met
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; go on with: move37 run --resume --campaign {config.name}", err=True)
        sys.stdout.flush()
        # A provider that hangs must not hold the terminal; every write so far is on the disk.
        os._exit(EXIT_STOPPED)
    return None


def tell_stopped(spent: BudgetSpent, config: CampaignConfig) -> None:
    """Say which cap was met, and the command that goes on behind it."""
    more = f"move37 run --resume -c {config.name} --max-{spent.cap} {_twice(config, spent.cap)}"
    typer.echo(f"stopped    {spent}; go on with: {more}")


def _twice(config: CampaignConfig, cap: Literal["usd", "tokens", "calls"]) -> str:
    return f"{2 * (getattr(config.caps, cap) or 0):.15g}"


def tell_costs(config: CampaignConfig, settings: Settings) -> None:
    """Say beforehand what the experiments that are left will cost, where providers are asked."""
    from move37.agents.models.calls import JOURNAL, read_calls, totals_of
    from move37.agents.models.expenses import expected, journals_of
    from move37.agents.models.prices import load_prices

    with open_store(settings) as store:
        left = config.experiments - len(store.experiments(config.name))
    prices = load_prices(settings.prices)
    costs = expected(config, left, journals_of(settings.home), prices) if left > 0 else None
    if costs is not None:
        spent = totals_of(read_calls(settings.home / config.name / JOURNAL)).campaign
        typer.echo(f"estimate   {costs.told(config.caps, spent)}")


def _show_end(config: CampaignConfig, settings: Settings) -> None:
    from move37.display import console, family_tree, leaderboard
    from move37.evaluation.standing import best

    name = config.name
    with open_store(settings) as store:
        found, experiments = campaign_of(store, name), store.experiments(name)
        path = report_of(found, experiments, settings)
    console().print(leaderboard(found, experiments, null_of(found, settings)))
    console().print(family_tree(found, experiments))
    top = best(found, experiments)
    lines = [f"report     {path}"]
    if top:
        lines.append(f"best       {settings.home / name / top.experiment.id / 'candidate.py'}")
        lines.append(f"look       move37 show {top.experiment.number} --campaign {name}")
    if config.forked is None:
        more = len(experiments) + 8
        lines.append(f"go on      move37 run --resume --experiments {more} -c {name}")
    lines.append(f"report     move37 report -c {name}")
    typer.echo("\n".join(lines))


def parse_arms(text: str) -> dict[str, float]:
    """Return the share of each policy of a text such as `best-of-n=0.2,random=0.1`.

    Raises:
        UserError: it is not written like that, or names a policy twice.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        policy, _, share = (piece.strip() for piece in part.partition("="))
        if not policy or policy in shares or not re.fullmatch(r"\d*\.?\d+", share):
            raise UserError(f"--arms {text}: write each policy once, as best-of-n=0.2,random=0.1")
        shares[policy] = float(share)
    return shares


def parse_budget(text: str) -> float:
    """Return the seconds of a duration such as `90s`, `30m`, `2h` or `1h30m`.

    Raises:
        UserError: a unit is missing or unknown.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise UserError(f"--budget {text}: write a number with a unit: 90s, 30m, 2h or 1h30m")
    return sum(float(number) * UNITS[unit] for number, unit in parts)
