"""`tiers`: what there is to train at, and what one run takes on this machine."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from move37.cli.common import AsJson, print_json
from move37.settings import load_settings

if TYPE_CHECKING:
    from rich.table import Table

    from move37.evaluation.estimate import Estimate
    from move37.evaluation.tiers import Tier

UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def tiers(
    name: Annotated[
        str | None, typer.Argument(help="One tier by name or path; default: all of them.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the tiers, and the time and memory of one run at each on this machine."""
    from move37.display import console
    from move37.evaluation.tiers import load_tier, own_tiers, shipped_tiers

    names = [name] if name else [*shipped_tiers(), *own_tiers()]
    found = [load_tier(each) for each in names]
    estimates = _estimates(found)
    if as_json:
        print_json([_as_json(t, e) for t, e in zip(found, estimates, strict=True)])
        return
    terminal = console()
    terminal.print(_table(found, estimates))
    if name:
        terminal.print("\n".join(_sheet(found[0])), soft_wrap=True, markup=False)
    for tier, estimate in zip(found, estimates, strict=True):
        for line in _remarks(tier, estimate):
            terminal.print(line, soft_wrap=True, markup=False)
    terminal.print(
        "time: training of one run of the baseline on text and recall, by steps measured in boxes "
        "(least to most), on a core of its own; gates and scoring come on top. "
        "memory: by arithmetic.",
        soft_wrap=True,
    )


def _estimates(found: list[Tier]) -> list[Estimate]:
    """Estimate each tier; boxes are opened only if something has to be measured."""
    from move37.evaluation import estimate
    from move37.evaluation.isolation.nursery import Nursery
    from move37.evaluation.isolation.obtain import open_nursery

    settings = load_settings()
    opened: list[Nursery] = []
    with ExitStack() as stack:

        def nursery() -> Nursery:
            if not opened:
                opened.append(stack.enter_context(open_nursery(settings.isolation))[0])
            return opened[0]

        cache = settings.cache.expanduser()
        return [
            estimate.estimate(tier, lambda t: estimate.timed(t, cache, nursery)) for tier in found
        ]


def _as_json(tier: Tier, found: Estimate) -> dict[str, object]:
    told = found.model_dump(mode="json", exclude={"tier"})
    return {**tier.model_dump(mode="json"), "digest": tier.digest, "estimate": told}


def _table(found: list[Tier], estimates: list[Estimate]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("tier", "on", "parameters", "tokens", "rate", "memory", "time"):
        table.add_column(title, no_wrap=title != "time")
    for tier, found_one in zip(found, estimates, strict=True):
        swept = tier.text.rate_source == "swept"
        table.add_row(
            tier.name,
            tier.device,
            short(found_one.parameters),
            short(found_one.tokens),
            f"{tier.text.rate:g}{'' if swept else '*'}",
            f"{found_one.memory_bytes / 2**30:.1f} GiB",
            _time(found_one),
        )
    return table


def _sheet(tier: Tier) -> list[str]:
    """Write everything of one tier out, a line each."""
    rule, lines = tier.promotion, [("purpose", tier.purpose), ("data", _data(tier))]
    lines.append(("model", f"{tier.layers} layers of {tier.hidden}, {tier.heads} heads"))
    for name, task in (("text", tier.text), ("recall", tier.recall)):
        size = f"{task.steps} steps of {task.rows} x {task.length}, vocabulary {task.vocabulary}"
        lines.append((name, f"{size}, rate {task.rate:g} ({task.rate_source})"))
    lines.append(
        (
            "seeds",
            f"{tier.baseline_seeds} of the baseline, {rule.seeds} of the best "
            f"{rule.share:.0%}, {rule.holdout_seeds} holdout",
        )
    )
    rates = ", ".join(f"x{rate:g}" for rate in rule.rates)
    lines.append(
        (
            "promotion",
            f"to {rule.to or 'none'}, rates {rates}, {rule.random_share:.0%} "
            f"at random, finals on {rule.finals} x the tokens",
        )
    )
    lines.append(("claims", f"from a gain of {tier.least:g} nats on"))
    return [f"{name:<11}{told}" for name, told in lines]


def _data(tier: Tier) -> str:
    from move37.evaluation.tiers import Dataset

    data = tier.data
    if not isinstance(data, Dataset):
        return "the standard library's sources, or --text, as bytes"
    bpe = f"of {data.tokenizer}" if data.tokenizer else "trained on it"
    name = " ".join(filter(None, (data.path, data.config, data.split)))
    return f"{name}, {short(data.tokens)} tokens of a BPE of {tier.text.vocabulary} {bpe}"


def _time(found: Estimate) -> str:
    from move37.evaluation.estimate import Timed

    if not isinstance(found.time, Timed):
        return f"not here, {short(found.operations)}FLOP"
    low, high = duration(found.time.low), duration(found.time.high)
    return f"{duration(found.time.seconds)} ({low} to {high})"


def _remarks(tier: Tier, found: Estimate) -> list[str]:
    from move37.evaluation.estimate import Untimed

    lines = []
    if found.obstacle:
        lines.append(found.obstacle)
    elif isinstance(found.time, Untimed):
        lines.append(f"tier {tier.name} was not timed: {found.time.reason}")
    if tier.text.rate_source != "swept":
        source = "from a paper" if tier.text.rate_source == "paper" else "not measured"
        lines.append(f"* rate of {tier.name} {source}: {tier.text.rate_origin}")
    return lines


def short(count: float) -> str:
    """Write a number with three digits and a unit: 78.6M."""
    for size, unit in UNITS:
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def duration(seconds: float) -> str:
    """Write seconds for people: 4.2 s, 3 min 10 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
