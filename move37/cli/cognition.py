"""`move37 cognition`: the papers of the loop and what a user adds to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from move37.cli.common import AsJson, CampaignName, campaign_of, open_store, print_json
from move37.records import UserError, Weather
from move37.settings import EXTERNAL, OFFLINE, load_settings

if TYPE_CHECKING:
    from move37.memory.intake import Source
    from move37.memory.library import Paper
    from move37.settings import Settings

app = typer.Typer(help="The cognition base: papers, and notes of your own.", no_args_is_help=True)

Families = Annotated[
    list[str] | None, typer.Option("--family", "-f", help="Only this family; may be repeated.")
]
Since = Annotated[int | None, typer.Option("--since", help="Only from this year on.")]


@app.command()
def build(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Drop what another embedding model has built.")
    ] = False,
) -> None:
    """Bring the base up to date with the files of the papers: only what changed is embedded."""
    typer.echo(_build(load_settings(), rebuild))


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="The weakness that was seen, in a sentence.")],
    k: Annotated[int, typer.Option("-k", help="How many.", min=1, max=50)] = 5,
    family: Families = None,
    since: Since = None,
    as_json: AsJson = False,
) -> None:
    """Find the lessons of papers that answer an observation."""
    from move37.agents.models.choosing import embedder
    from move37.display import console
    from move37.graph.lab import open_cognition
    from move37.memory.vocabulary import FAMILIES
    from move37.shelf import cognition_view

    settings = load_settings()
    unknown = [one for one in family or () if one not in FAMILIES]
    if unknown:
        raise UserError(f"no family {unknown[0]!r}; there are {', '.join(FAMILIES)}")
    with open_cognition(settings, embedder(settings)) as base:
        base.build()
        found = base.search(query, k, families=family or (), since=since)
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
    else:
        console().print(cognition_view(found))


@app.command()
def papers(family: Families = None, as_json: AsJson = False) -> None:
    """List the papers of the base, by family and year."""
    from move37.display import console
    from move37.graph.lab import own_papers
    from move37.memory.library import PAPERS, load_library
    from move37.shelf import papers_view

    known = load_library(PAPERS, own_papers(load_settings()))
    shown = [one for one in known if not family or one.family in family]
    if as_json:
        print_json([one.model_dump(mode="json") for one in shown])
    else:
        console().print(papers_view(shown))


@app.command()
def use(campaign: CampaignName = None, as_json: AsJson = False) -> None:
    """Say where the ideas of a campaign came from, and which papers and lessons paid."""
    from move37.cli.looking import root_of
    from move37.display import console
    from move37.memory.use import origins, payoffs
    from move37.shelf import use_view

    with open_store(load_settings()) as store:
        found = campaign_of(store, campaign)
        experiments = store.experiments(found.config.name)
    root = root_of(found)
    sd = found.baseline.noise["text"].sd if found.baseline else 0.0
    shares, paid = origins(experiments), payoffs(experiments, root, sd)
    if as_json:
        told = [one.model_dump(mode="json") for one in paid]
        print_json({"origins": shares.model_dump(mode="json"), "paid": told})
    else:
        console().print(use_view(shares, paid))


@app.command()
def tags() -> None:
    """List the tags that papers and proposals share, and what each means."""
    from move37.memory.vocabulary import MECHANISMS, PRACTICES

    for tag, meaning in (MECHANISMS | PRACTICES).items():
        typer.echo(f"{tag:26s} {meaning}")


@app.command()
def add(
    source: Annotated[
        str, typer.Argument(metavar="FILE|ARXIV-ID", help="Text, PDF, filled-in form, or an id.")
    ],
) -> None:
    """Add a paper or a note of your own: the configured model reads it, or you fill in a form."""
    from move37.graph.lab import own_papers
    from move37.memory.intake import add_paper, arxiv_id, read_source, write_form
    from move37.memory.library import PAPERS, load_paper

    settings = load_settings()
    folder = own_papers(settings)
    if Path(source).suffix == ".toml":
        paper = load_paper(Path(source))
    else:
        _refuse_known(arxiv_id(source), folder)
        read = read_source(source)
        if settings.model_of("researcher") in (OFFLINE, EXTERNAL):
            form = write_form(read, folder)
            typer.echo(f"no model is set that can read, so fill in  {form}")
            typer.echo(f"then                                       move37 cognition add {form}")
            return
        paper = _read_by_model(read, settings)
    path = add_paper(paper, folder, PAPERS, folder)
    typer.echo(f"added {len(paper.cognition)} lessons of {paper.title!r} in {path}")
    typer.echo(_build(settings, rebuild=False))


def _read_by_model(source: Source, settings: Settings) -> Paper:
    from move37.agents.models.choosing import chat_model
    from move37.agents.reader import read

    try:
        paper, _ = read(source, chat_model("researcher", settings))
    except Weather as weather:
        raise UserError(f"{weather}: try again, or write the file by hand") from None
    return paper


def _refuse_known(identity: str, folder: Path) -> None:
    from move37.memory.library import PAPERS, load_library

    for paper in load_library(PAPERS, folder):
        if identity and paper.arxiv_id == identity:
            raise UserError(f"the base holds {identity} already, as {paper.id}")


def _build(settings: Settings, rebuild: bool) -> str:
    from move37.agents.models.choosing import embedder
    from move37.graph.lab import open_cognition

    with open_cognition(settings, embedder(settings), replace=rebuild) as base:
        built = base.build()
    return f"{built.total} lessons: {built.changed} embedded, {built.removed} removed"
