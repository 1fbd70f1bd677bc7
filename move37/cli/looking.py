"""`status`, `show`, `tree` and `report`: what a campaign has found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from move37.cli.common import (
    AsJson,
    CampaignName,
    books_of,
    campaign_of,
    null_of,
    open_store,
    print_json,
)
from move37.records import UserError
from move37.settings import Settings, load_settings

if TYPE_CHECKING:
    from move37.records import Campaign, Candidate, Experiment


def status(campaign: CampaignName = None, as_json: AsJson = False) -> None:
    """Say where a campaign stands."""
    from move37.display import console, status_view

    settings = load_settings()
    with open_store(settings) as store:
        found = campaign_of(store, campaign)
        experiments = store.experiments(found.config.name)
    books = books_of(found, settings)
    if as_json:
        states = [
            {"number": e.number, "status": e.status, "fitness": e.fitness} for e in experiments
        ]
        config, spent = found.config.model_dump(mode="json"), books.model_dump(mode="json")
        print_json({"campaign": config, "experiments": states, "spent": spent})
        return
    console().print(status_view(found, experiments, null_of(found, settings), books))


def show(
    number: Annotated[str, typer.Argument(metavar="ID", help="Number or id of an experiment.")],
    campaign: CampaignName = None,
    as_json: AsJson = False,
) -> None:
    """Show one experiment: motivation, lineage, gates, curves, code diff against the parent."""
    from move37.cli.verifying import verdict_lines
    from move37.display import console, experiment_view, plain

    settings = load_settings()
    with open_store(settings) as store:
        found = campaign_of(store, campaign)
        experiments = store.experiments(found.config.name)
        past = store.experiments(found.config.past)
    experiment = next((e for e in experiments if number in (str(e.number), e.id)), None)
    if experiment is None:
        known = f"1 to {experiments[-1].number}" if experiments else "none yet"
        raise UserError(
            f"campaign {found.config.name} has no experiment {number} (there are: {known})"
        )
    if as_json:
        typer.echo(experiment.model_dump_json(indent=1))
        return
    parent = _parent_code(found, past, experiment)
    console().print(experiment_view(found, experiment, parent))
    for line in verdict_lines(settings, found.config.name, experiment.number):
        console().print(plain(line))


def tree(campaign: CampaignName = None) -> None:
    """Draw the family tree of a campaign."""
    from move37.display import console, family_tree

    settings = load_settings()
    with open_store(settings) as store:
        found = campaign_of(store, campaign)
        console().print(family_tree(found, store.experiments(found.config.name)))


def report(campaign: CampaignName = None) -> None:
    """Write the campaign's report: one HTML file that opens offline."""
    settings = load_settings()
    with open_store(settings) as store:
        found = campaign_of(store, campaign)
        path = report_of(found, store.experiments(found.config.name), settings)
    typer.echo(str(path))


def report_of(found: Campaign, experiments: list[Experiment], settings: Settings) -> Path:
    """Write the report of a campaign into its folder and return the file."""
    from move37.report import write_report

    path = settings.home / found.config.name / "report.html"
    null, books = null_of(found, settings), books_of(found, settings)
    return write_report(found, experiments, root_of(found), path, null, books)


def root_of(found: Campaign) -> Candidate:
    """Return the template that a campaign started from, as its experiment 0."""
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
    return root_of(found).code
