"""`verify`: from a design to a certificate; `reproduce`: from a certificate to its trials."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from move37.cli.common import (
    EXIT_FAILED,
    EXIT_STOPPED,
    AsJson,
    CampaignName,
    TextPath,
    campaign_of,
    open_store,
    print_json,
)
from move37.cli.judging import read_source
from move37.records import UserError
from move37.settings import Settings, load_settings

if TYPE_CHECKING:
    from move37.evaluation.tiers import Tier
    from move37.evaluation.verification.certificate import Certificate
    from move37.graph.verification import Design, Plan, Tell
    from move37.records import Campaign, Experiment

FOLDER = "certificates"
DEFAULT_TIER = "laptop"


def verify(
    designs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID...|FILE]", help="Numbers or ids of experiments, or a file."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Without IDs: so many go to the holdout.")] = 1,
    campaign: CampaignName = None,
    tiers: Annotated[
        str | None,
        typer.Option(help="Tiers in order, such as laptop,gpu; default: the campaign's own."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=4, max=1008, help="Holdout seeds; default: the tier's.")
    ] = None,
    cause: Annotated[
        bool, typer.Option("--cause/--no-cause", help="Take out each mechanism once.")
    ] = True,
    text: TextPath = None,
    as_json: AsJson = False,
) -> None:
    """Hold designs against their matched twins on fresh seeds, and write certificates.

    Without IDs the fittest third of the campaign is first trained at three seeds each, as its tier
    says, and the best means go to the holdout; with IDs these go there at once.

    Trials that ended are kept: the same command goes on where it was stopped. With several tiers,
    what is no discovery at one is not run at the next, but for a share that is drawn by lot.
    """
    from move37.certificates import Board
    from move37.evaluation.tiers import load_tier
    from move37.evaluation.verification.seeds import seeds_of
    from move37.graph.verification import Plan, promote, require_tiers

    settings, asked = load_settings(), designs or []
    file = Path(asked[0]) if len(asked) == 1 and asked[0].endswith(".py") else None
    played = None if file else _campaign(settings, campaign)
    if played:
        config = played[0].config
        folder, own, place = settings.home / config.name / FOLDER, config.tier, config.text
        if text:
            raise UserError("--text is for a file; a campaign is verified on its own text")
    else:
        folder, own, place = settings.home / FOLDER, DEFAULT_TIER, text

    def plan(tier: Tier) -> Plan:
        return Plan(
            tier=tier,
            text=str(Path(place).expanduser().resolve()) if place else None,
            seeds=seeds_of(seeds or tier.promotion.holdout_seeds),
            settings=settings,
            folder=folder,
            with_cause=cause,
        )

    names = [name.strip() for name in tiers.split(",")] if tiers else [own]
    plans = [plan(tier) for tier in require_tiers(names)]
    with _stoppable("the same command"), Board(quiet=as_json) as board:
        found = (
            _of_campaign(*played, asked, top, plan(load_tier(own)), board.tell)
            if played
            else [_of_file(Path(asked[0]))]
        )
        written = promote(found, plans, board.tell)
    pages = [_write_page(certificate, path) for certificate, path in written]
    if as_json:
        print_json({"certificates": [_summary(c, path) for c, path in written]})
        return
    _show(list(zip(written, pages, strict=True)), settings)


def reproduce(
    certificate: Annotated[Path, typer.Argument(help="A certificate, as JSON.")],
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Run only so many of its holdout seeds.")
    ] = None,
    text: TextPath = None,
    as_json: AsJson = False,
) -> None:
    """Run the trials of a certificate again: exit code 0 agrees, 1 disagrees, 2 not comparable."""
    from move37.certificates import Board, agreement_view
    from move37.display import console, isolation_line
    from move37.evaluation.client import open_evaluator
    from move37.evaluation.verification.certificate import read_certificate
    from move37.evaluation.verification.reproduce import reproduce as run_again
    from move37.evaluation.verification.reproduce import require_data, tier_of
    from move37.graph.verification import bench_of

    settings, told = load_settings(), read_certificate(certificate)
    tier, name = tier_of(told), told.subject.name
    with (
        _stoppable("the same command, from the start"),
        Board(quiet=as_json) as board,
        # Nothing from the cache: what was measured before is what is in question.
        tempfile.TemporaryDirectory() as folder,
        open_evaluator(settings.isolation, tier, text) as evaluator,
    ):
        require_data(told, evaluator.provenance)
        isolation = evaluator.isolation
        bench = bench_of(evaluator, settings, Path(folder), lambda step: board.tell(name, step))
        found = run_again(bench, told, seeds)
    if as_json:
        print_json({"certificate": told.hash, **found.model_dump(mode="json")})
    else:
        console().print(agreement_view(told, found))
        console().print(isolation_line(isolation.tier, isolation.remark))
    raise typer.Exit(0 if found.agrees else EXIT_FAILED)


def verdict_lines(settings: Settings, campaign: str, number: int) -> list[str]:
    """Return a line on each certificate of an experiment; a broken one is named as such."""
    from move37.evaluation.verification.certificate import read_certificate

    lines = []
    for path in sorted((settings.home / campaign / FOLDER).glob(f"{number}-*.json")):
        try:
            told = read_certificate(path)
        except UserError as error:
            lines.append(f"certificate  {error}")
        else:
            line = f"{told.verdict} at tier {told.tier.name}: {told.reason}"
            lines.append(f"certificate  {line} ({path})")
    return lines


def _campaign(settings: Settings, name: str | None) -> tuple[Campaign, list[Experiment]]:
    with open_store(settings) as store:
        found = campaign_of(store, name)
        return found, store.experiments(found.config.name)


def _of_campaign(
    campaign: Campaign,
    experiments: list[Experiment],
    wanted: list[str],
    top: int,
    plan: Plan,
    tell: Tell,
) -> list[Design]:
    """Return the designs that were named, else the best over the seeds of the middle stage."""
    from move37.graph.finalists import finalists, promoted
    from move37.graph.verification import chosen, designs_of

    if wanted:
        picked = chosen(campaign, experiments, wanted)
    else:
        wide = promoted(campaign, experiments, top, plan.tier.promotion)
        picked = finalists(wide, top, plan, tell)
    return designs_of(campaign, experiments, picked)


def _of_file(file: Path) -> Design:
    from move37.graph.single import ROOT
    from move37.graph.verification import design_of_file
    from move37.records import Proposal

    proposal = Proposal(
        name=file.stem[:80],
        motivation=f"The file {file.name}.",
        hypothesis="None was stated.",
        expected_gain=0.0,
        code=read_source(file),
    )
    return design_of_file(proposal, ROOT)


@contextmanager
def _stoppable(go_on: str) -> Iterator[None]:
    """End at Ctrl-C or SIGTERM with one line; boxes end with the judge, and trials are kept."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; go on with {go_on}", err=True)
        sys.stdout.flush()
        os._exit(EXIT_STOPPED)


def _write_page(certificate: Certificate, path: Path) -> Path:
    from move37.certificate_page import write_page

    return write_page(certificate, path.with_suffix(".html"))


def _summary(certificate: Certificate, path: Path) -> dict[str, object]:
    told = certificate.model_dump(mode="json", include={"verdict", "reason", "hash", "claims"})
    subject = certificate.subject
    number = subject.origin.number if subject.origin else None
    claim = certificate.result.claim if certificate.result.kind == "comparison" else None
    return {
        "file": str(path),
        "page": str(path.with_suffix(".html")),
        "design": subject.name,
        "number": number,
        "tier": certificate.tier.name,
        **told,
        "claim": claim.model_dump(mode="json") if claim else None,
    }


def _show(written: list[tuple[tuple[Certificate, Path], Path]], settings: Settings) -> None:
    from move37.certificates import certificate_view
    from move37.display import console
    from move37.graph.verification import ledger_lines

    for (certificate, path), page in written:
        console().print(certificate_view(certificate))
        typer.echo(f"certificate  {path}\npage         {page}")
        typer.echo(f"again        move37 reproduce {path}\n")
    for line in ledger_lines(settings):
        typer.echo(line)
