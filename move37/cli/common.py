"""What several commands share: options, the store, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from move37.records import UserError
from move37.settings import Settings

if TYPE_CHECKING:
    from move37.agents.models.calls import Totals
    from move37.evaluation.calibration.null import Null
    from move37.memory.store import Store
    from move37.records import Campaign

CampaignName = Annotated[
    str | None, typer.Option("--campaign", "-c", help="Name of the campaign; default: the latest.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
TierName = Annotated[
    str, typer.Option("--tier", "-t", help="A name that `tiers` shows, or a .toml file.")
]
TextPath = Annotated[
    str | None, typer.Option("--text", help="Train on this file or folder of text instead.")
]
EXIT_FAILED, EXIT_USER, EXIT_STOPPED = 1, 2, 130


def open_store(settings: Settings) -> Store:
    """Open the experiment store of this home."""
    from move37.graph import lab

    return lab.open_store(settings)


def campaign_of(store: Store, name: str | None) -> Campaign:
    """Return the campaign of this name, or the latest one.

    Raises:
        UserError: there is none.
    """
    campaigns = store.campaigns()
    if not campaigns:
        raise UserError("there is no campaign yet; start one with: move37 run")
    if name is None:
        # A fork is looked at by its name; it is not what one goes on with.
        own = [c for c in campaigns if c.config.forked is None]
        return max(own or campaigns, key=lambda c: c.created)
    for found in campaigns:
        if found.config.name == name:
            return found
    names = ", ".join(c.config.name for c in campaigns[-5:])
    raise UserError(f"there is no campaign {name!r}; the latest are {names}")


def null_of(campaign: Campaign, settings: Settings) -> Null | None:
    """Return what luck alone does at a campaign's tier, where it was calibrated here."""
    from move37.evaluation.calibration.null import load_null

    root = campaign.baseline
    if root is None:
        return None
    return load_null(calibration_folder(settings), root.tier, root.provenance, root.code)


def books_of(campaign: Campaign, settings: Settings) -> Totals:
    """Return what all model calls of a campaign have cost.

    Raises:
        UserError: the journal cannot be read, or is of another version.
    """
    from move37.agents.models.calls import JOURNAL, read_calls, totals_of

    return totals_of(read_calls(settings.home / campaign.config.name / JOURNAL))


def calibration_folder(settings: Settings) -> Path:
    """Return where calibrations of this machine are kept."""
    return settings.cache.expanduser() / "calibration"


def print_json(value: object) -> None:
    """Print a value for a program."""
    typer.echo(json.dumps(value, indent=1))
