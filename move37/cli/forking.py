"""`move37 fork`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from move37.cli.common import CampaignName, campaign_of, open_store
from move37.cli.looking import show
from move37.cli.running import carry_out, tell_stopped
from move37.records import UserError
from move37.settings import load_settings


def fork(
    number: Annotated[int, typer.Argument(metavar="EXPERIMENT", help="Number of an experiment.")],
    node: Annotated[str, typer.Option(help="The node from which on it is done anew.")],
    campaign: CampaignName = None,
    model: Annotated[
        str | None, typer.Option(help="Another model for that node, as provider:name.")
    ] = None,
    prompt: Annotated[
        Path | None,
        typer.Option(help="Another prompt for it, in the form of agents/prompts/*.md."),
    ] = None,
) -> None:
    """Go on from a node of a past experiment with another model or prompt, in a campaign beside."""
    from move37.agents.models.tape import Tape
    from move37.agents.prompts.prompting import own_document
    from move37.graph.fork import NODES, check_fork, fork_config
    from move37.records import Forked

    if node not in NODES:
        raise UserError(f"--node {node}: there are {', '.join(NODES)}")
    settings = load_settings()
    text = own_document(node, prompt) if prompt else None
    with open_store(settings) as store:
        found, names = campaign_of(store, campaign), {c.config.name for c in store.campaigns()}
    at = Forked(campaign=found.config.name, number=number, node=node)
    config = fork_config(found, at, names, model, text)
    check_fork(config, settings)
    spent = carry_out(config, settings, Tape())
    if spent is not None:
        tell_stopped(spent, config)
        return
    show(str(number), config.name)
    typer.echo(f"before     move37 show {number} --campaign {found.config.name}")
