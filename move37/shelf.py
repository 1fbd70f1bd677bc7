"""How papers and their lessons look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from move37.display import plain
from move37.memory.library import Paper
from move37.memory.use import Origins, Paid
from move37.records import Cognition


def cognition_view(found: Sequence[Cognition]) -> RenderableType:
    """Show lessons of papers whole, the best first."""
    if not found:
        return Text("nothing found")
    return Group(*(part for one in found for part in _lesson(one)))


def _lesson(one: Cognition) -> list[RenderableType]:
    tags = ", ".join(one.mechanisms)
    lines: list[RenderableType] = [
        plain(f"{one.id}  {one.title} ({one.year}, {one.family})", "bold"),
        Padding(plain(one.scenario), (0, 0, 0, 2)),
        Padding(plain(one.algorithm), (0, 0, 0, 4)),
        Padding(plain(one.context, "dim"), (0, 0, 0, 2)),
        Padding(Text(f"tags {tags}", style="dim"), (0, 0, 0, 2)),
    ]
    if one.try_with:
        told = f"try with {', '.join(one.try_with)}"
        lines.append(Padding(Text(told, style="dim"), (0, 0, 0, 2)))
    return [*lines, Text("")]


def papers_view(papers: Sequence[Paper]) -> RenderableType:
    """Show one line a paper, by family and year, and how many there are."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("id", "year", "family", "title"):
        table.add_column(column, overflow="fold")
    for one in sorted(papers, key=lambda paper: (paper.family, paper.year, paper.id)):
        table.add_row(one.id, str(one.year), one.family, plain(one.title))
    lessons = sum(len(one.cognition) for one in papers)
    return Group(table, Text(f"{len(papers)} papers, {lessons} lessons", style="dim"))


def use_view(shares: Origins, paid: Sequence[Paid]) -> RenderableType:
    """Show the shares of ideas by source, and what each cognition and lesson has paid."""
    sources = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    sources.add_column("designs")
    for column in ("how many", *shares.all_shares):
        sources.add_column(column, justify="right")
    rows = (("all", shares.ideas, shares.all_shares), ("best", shares.best, shares.best_shares))
    for name, count, of in rows:
        sources.add_row(name, str(count), *(f"{100 * share:.0f} %" for share in of.values()))
    gains = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    gains.add_column("used", overflow="fold")
    for column in ("shown", "used", "measured", "gain"):
        gains.add_column(column, justify="right")
    for one in paid:
        gain = "not measured" if one.gain is None else f"{one.gain:+.4f} ± {one.noise:.4f}"
        gains.add_row(plain(one.id), str(one.shown), str(one.used), str(one.measured), gain)
    told = (
        "Gain: mean fall of held-out loss against the parent; many are compared, the best flatter."
    )
    return Group(sources, gains, Text(told, style="dim"))
