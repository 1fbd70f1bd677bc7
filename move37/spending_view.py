"""What the models of a campaign have cost: by role, and beside its caps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import reduce

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from move37.agents.models.calls import Total, Totals, dollars
from move37.records import Caps, Experiment, Finite, Value

# Roles under whose name the books have the calls of another.
WITHIN = {"forecaster": "judge"}


class Spending(Value):
    """What one role has cost; `worked` are seconds of its tools, None where nobody counted them."""

    role: str
    total: Total
    worked: Finite | None


def spending(experiments: Sequence[Experiment], books: Totals | None = None) -> list[Spending]:
    """Return what each role has cost, the dearest first.

    The books of a campaign count every call; where there are none, what its experiments say.
    """
    totals = books.roles if books and books.roles else _told_by(experiments)
    worked = _worked(experiments)
    lines = [
        Spending(role=role, total=total, worked=worked.get(role)) for role, total in totals.items()
    ]
    return sorted(lines, key=lambda line: (-line.total.usd, -line.total.tokens, line.role))


def spent_line(lines: Sequence[Spending], caps: Caps) -> str:
    """Return what all roles together have cost, with the caps."""
    whole = reduce(Total.joined, (line.total for line in lines), Total())
    parts = [
        f"{whole.calls:,}{_of(caps.calls)} calls",
        f"{whole.tokens:,}{_of(caps.tokens)} tokens",
        f"{money(whole)}{f' of {dollars(caps.usd)}' if caps.usd is not None else ''}",
    ]
    if whole.failed:
        parts.append(f"{whole.failed:,} failed")
    if whole.assumed:
        parts.append(f"{whole.assumed:,} counted at their bound")
    if whole.spared:
        parts.append(f"{whole.spared:,} answered from a cache")
    return ", ".join(parts)


def spending_table(lines: Sequence[Spending]) -> Table:
    """Show what each role has cost."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("role", no_wrap=True)
    for column in ("calls", "tokens in", "out", "money", "model s", "tools s"):
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(Text(line.role), *cells(line))
    return table


def cells(line: Spending) -> tuple[str, ...]:
    """Return calls, tokens in and out, money, seconds of the model and of the tools as text."""
    total = line.total
    return (
        f"{total.calls:,}",
        f"{total.input_tokens:,}",
        f"{total.output_tokens:,}",
        money(total),
        f"{total.seconds:,.1f}",
        "-" if line.worked is None else f"{line.worked:,.1f}",
    )


def money(total: Total) -> str:
    """Return the money of a total; what has no price is no part of it, and is said."""
    if total.unpriced == 0:
        return dollars(total.usd)
    if total.unpriced == total.calls:
        return "no price known"
    return f"{dollars(total.usd)} and {total.unpriced:,} calls without a price"


def _of(cap: int | None) -> str:
    return "" if cap is None else f" of {cap:,}"


def _told_by(experiments: Sequence[Experiment]) -> dict[str, Total]:
    found: dict[str, Total] = defaultdict(Total)
    for use in (use for experiment in experiments for use in experiment.usage):
        role = WITHIN.get(use.role, use.role)
        found[role] = found[role].joined(
            Total(
                calls=use.calls,
                input_tokens=use.input_tokens,
                output_tokens=use.output_tokens,
                usd=use.usd or 0.0,
                unpriced=use.calls if use.usd is None else 0,
                seconds=use.seconds,
            )
        )
    return dict(found)


def _worked(experiments: Sequence[Experiment]) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for use in (use for experiment in experiments for use in experiment.usage):
        if use.machine_seconds is not None:
            found[WITHIN.get(use.role, use.role)] += use.machine_seconds
    return dict(found)
