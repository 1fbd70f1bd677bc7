"""`mcp`, `brief` and `submit`: a coding agent or a person is the researcher."""

from __future__ import annotations

import os
import signal
import sys
import tomllib
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from move37.cli.capping import MaxCalls, MaxTokens, MaxUsd, merged, parse_caps
from move37.cli.common import EXIT_FAILED, EXIT_STOPPED, open_store
from move37.records import Caps, UserError
from move37.settings import EXTERNAL, Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from move37.graph.desk import Desk
    from move37.records import CampaignConfig, Progress

INSTALL = "pip install 'move37[mcp]'"
Name = Annotated[str, typer.Option("--campaign", "-c", help="Name of the campaign, new or not.")]
Tier = Annotated[
    str | None,
    typer.Option("--tier", "-t", help="Of a new campaign: a name that `tiers` shows; laptop."),
]
Size = Annotated[
    int | None, typer.Option("--experiments", "-n", help="How many in all; default 8.", min=1)
]


def mcp(
    campaign: Name = "desk",
    tier: Tier = None,
    experiments: Size = None,
    http: Annotated[
        int | None,
        typer.Option("--http", help="Serve on this port of 127.0.0.1 instead of stdio.", min=0),
    ] = None,
    max_usd: MaxUsd = None,
    max_tokens: MaxTokens = None,
    max_calls: MaxCalls = None,
) -> None:
    """Serve a campaign to a coding agent as its researcher, by the Model Context Protocol."""
    try:
        from move37.cli.mcp_server import listen, opened_beside, serve_http, server_of
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types", "uvicorn"):
            raise
        raise UserError(f"the MCP server needs the package mcp: {INSTALL}") from None
    listening = listen(http) if http is not None else None
    caps = parse_caps(max_usd, max_tokens, max_calls)
    config, settings = _request(campaign, tier, experiments, caps)
    try:
        with opened_beside(partial(_desk, config, settings)) as front:
            server = server_of(front)
            if listening is None:
                server.run()
            else:
                place = ":".join(map(str, listening.getsockname()))
                typer.echo(f"serving campaign {campaign} at http://{place}/mcp", err=True)
                serve_http(server, listening)
    except KeyboardInterrupt:
        pass
    # What hangs in the background must not hold the client; every write so far is on the disk.
    os._exit(0)


def brief(
    campaign: Name = "desk",
    tier: Tier = None,
    experiments: Size = None,
    max_usd: MaxUsd = None,
    max_tokens: MaxTokens = None,
    max_calls: MaxCalls = None,
) -> None:
    """Print what a researcher is told, and lay out a draft of the code and a form for the idea."""
    from move37.live import LiveBoard

    caps = parse_caps(max_usd, max_tokens, max_calls)
    config, settings = _request(campaign, tier, experiments, caps)
    try:
        with LiveBoard(config) as board, _desk(config, settings, board.update) as desk:
            request = desk.brief(wait_seconds=None)
            draft = desk.draft
    except KeyboardInterrupt:
        _stopped(campaign)
    form = draft.with_name("idea.toml")
    if not form.exists():
        form.write_text(FORM.format(number=request.experiment, campaign=campaign))
    typer.echo(request.brief)
    typer.echo(f"\nchange the code   {draft}\nfill in the idea  {form}", err=True)
    typer.echo(f"hand it in        move37 submit -c {campaign}", err=True)


def submit(campaign: Name = "desk") -> None:
    """Hand in the draft and the form that `brief` laid out, and wait for what comes of it."""
    from move37.graph.standing import show_standing
    from move37.live import LiveBoard

    config, settings = _request(campaign, None, None, Caps())
    try:
        with LiveBoard(config) as board, _desk(config, settings, board.update) as desk:
            standing = desk.standing(wait_seconds=0)
            if standing.state != "running":
                # What was killed on its way is waited for, not handed in again.
                desk.brief(wait_seconds=None)
                standing = desk.submit(_idea(desk.draft.with_name("idea.toml")))
            standing = desk.standing(standing.number, wait_seconds=None)
            told = show_standing(standing, desk.lab.baseline.noise)
    except KeyboardInterrupt:
        _stopped(campaign)
    typer.echo(told)
    if standing.state != "ended":
        raise typer.Exit(EXIT_FAILED)


FORM = '''# Experiment {number}: change draft.py, fill this in, then: move37 submit -c {campaign}
name = ""
# What was changed and why it should help.
motivation = """
"""
# What should be seen in the measurements.
hypothesis = """
"""
# The fall of held-out loss below the parent's that you expect, in nats per token.
expected_gain = 0.0
# What may make it fail or cost too much; may stay empty.
risk = ""
# Tags of the design, and ids of what it rests on, of those in the brief; may stay empty.
mechanisms = []
cognition_ids = []
lesson_ids = []
'''


def _idea(form: Path) -> dict[str, object]:
    """Return what a form holds, without the blanks around it.

    Raises:
        UserError: it is not there, or not TOML.
    """
    try:
        told = tomllib.loads(form.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{form} is not there: ask for it with `move37 brief`") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{form} is not TOML: {error}") from None
    return {key: value.strip() if isinstance(value, str) else value for key, value in told.items()}


def _request(
    campaign: str, tier: str | None, experiments: int | None, caps: Caps
) -> tuple[CampaignConfig, Settings]:
    """Return a stored campaign, grown where more is asked for, or a new one.

    Raises:
        UserError: it has another researcher or tier, or nothing can be run as asked.
    """
    from pydantic import ValidationError

    from move37.graph.lab import check_request, complete
    from move37.logs import configure_logs
    from move37.records import CampaignConfig

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = load_settings()
    with open_store(settings) as store:
        known = store.campaign(campaign)
        if known is not None:
            config = known.config
            _require_same(config, tier)
            size = max(experiments or 0, config.experiments)
            caps = merged(config.caps, caps)
            config = store.resize(campaign, size, config.budget_seconds, caps).config
        else:
            try:
                config = CampaignConfig(
                    name=campaign,
                    tier=tier or "laptop",
                    experiments=experiments or 8,
                    # Each experiment sees the one before it.
                    batch=1,
                    caps=caps,
                    models={"researcher": EXTERNAL},
                )
            except ValidationError as error:
                raise UserError(f"--campaign {campaign}: {error.errors()[0]['msg']}") from None
            config = complete(config, settings)
    check_request(config, settings, outside=True)
    configure_logs(settings.home / campaign, quiet=True)
    return config, settings


def _require_same(config: CampaignConfig, tier: str | None) -> None:
    if config.models.get("researcher") != EXTERNAL:
        raise UserError(
            f"the researcher of campaign {config.name} is {config.models.get('researcher')}; "
            "choose another --campaign"
        )
    if tier not in (None, config.tier):
        raise UserError(
            f"campaign {config.name} runs at tier {config.tier}; leave --tier out, "
            "or choose another --campaign"
        )


def _desk(
    config: CampaignConfig, settings: Settings, watch: Callable[[Progress], None]
) -> AbstractContextManager[Desk]:
    from move37.graph.desk import open_desk

    return open_desk(config, settings, watch)


def _stopped(campaign: str) -> NoReturn:
    typer.echo(f"\nstopped; go on with: move37 submit -c {campaign}", err=True)
    sys.stdout.flush()
    os._exit(EXIT_STOPPED)
