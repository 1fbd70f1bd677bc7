"""How a verification under way and its certificate look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.table import Table
from rich.text import Text

from move37.display import failure_view, isolation_line, plain
from move37.evaluation.statistics.paired import Paired
from move37.evaluation.verification.cause import Cause, NotHad, Removed
from move37.evaluation.verification.certificate import Certificate
from move37.evaluation.verification.compare import Comparison, Tuned, Tuning
from move37.evaluation.verification.reproduce import Agreement
from move37.evaluation.verification.runs import Step
from move37.records import Failed

STYLES = {
    "discovery": "bold green",
    "promising": "bold yellow",
    "size or tuning only": "bold yellow",
    "not better": "bold red",
}


class Board:
    """What is being run: bars on a terminal, a line a phase elsewhere; on standard error."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, quiet=quiet)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("trials"),
            Elapsed(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bars.stop()

    def tell(self, label: str, step: Step) -> None:
        """Take one sign of life."""
        place = (label, step.phase)
        shown = plain(label).plain.replace("[", r"\[")
        if not self._console.is_terminal:
            if step.done == 0:
                told = plain(f"{label}: {step.phase}, {step.total} trials")
                self._console.print(told if step.phase != "gates" else plain(f"{label}: gates"))
            return
        if place not in self._tasks:
            self._tasks[place] = self._bars.add_task(f"{shown}  {step.phase}", total=step.total)
        self._bars.update(self._tasks[place], completed=step.done)


def certificate_view(certificate: Certificate) -> RenderableType:
    """Show a certificate in short: the verdict, what it rests on, and where the gain is from."""
    subject, result = certificate.subject, certificate.result
    head = Text(f"{certificate.verdict}  ", style=STYLES[certificate.verdict])
    number = f"{subject.origin.number} " if subject.origin else ""
    head.append_text(plain(f"{number}{subject.name}", "bold"))
    head.append(f"  tier {certificate.tier.name}", style="dim")
    parts: list[RenderableType] = [head, plain(certificate.reason)]
    if isinstance(result, Failed):
        return Group(*parts, failure_view(result))
    if certificate.verdict == "promising":
        parts.append(Text(more_told(result)))
    parts += [split_view(certificate, result), facts_view(result)]
    if certificate.cause.mechanisms:
        parts.append(cause_view(certificate.cause))
    return Group(*parts, isolation_line(certificate.provenance.isolation))


def more_told(result: Comparison) -> str:
    """Say how many more seeds would decide, for what is promising."""
    more = result.claim.more_seeds
    if more is None:
        return "A thousand more seeds would not decide: the gain lies too near to what matters."
    total = result.claim.against_twin.seeds + more
    return f"About {more} more seeds would decide: run it again with --seeds {total}."


def split_view(certificate: Certificate, result: Comparison) -> RenderableType:
    """Show where the gain over the baseline comes from."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("gain in nats")
    for column in ("mean", "95 % interval", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, gain in split_rows(certificate.root_name, result):
        table.add_row(name, *gain_cells(gain))
    return table


def split_rows(root: str, result: Comparison) -> Sequence[tuple[str, Paired]]:
    """Return the parts of the gain over the baseline, and the whole, with their names."""
    split, twin, ours = result.split, result.twin.setup, result.candidate.setup
    return (
        (f"size: {root} at {result.twin.parameters:,} parameters", split.size),
        (f"tuning: the twin at {factor_told(twin.factor)} the rate", split.tuning),
        (f"idea: against that twin, at {factor_told(ours.factor)} the rate", split.idea),
        ("  of which the design's own tuning", split.own_tuning),
        (f"all, against {root}", result.claim.against_baseline),
    )


def gain_cells(gain: Paired) -> tuple[str, str, str]:
    """Return a gain, its interval and its p-value as text."""
    interval = f"{gain.interval.low:+.4f} to {gain.interval.high:+.4f}"
    return f"{gain.gain:+.4f}", interval, f"{gain.p:.2g}"


def factor_told(factor: float) -> str:
    """Return a factor on the learning rate as text."""
    return f"{factor:.0f}x" if factor >= 1 else f"1/{1 / factor:.0f}x"


def facts_view(result: Comparison) -> RenderableType:
    """Show sizes, tuning, decoding and state of the three programs side by side."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("")
    for column in ("design", "twin", "baseline"):
        table.add_column(column, justify="right")
    for name, cells in fact_rows(result):
        table.add_row(name, *cells)
    return table


def fact_rows(result: Comparison) -> Sequence[tuple[str, tuple[str, str, str]]]:
    """Return what is to be known of design, twin and baseline beside their losses."""
    arms = (result.candidate, result.twin, result.baseline)
    base = result.baseline.decode_ms
    tuned = (tuning_told(result.candidate_tuning), tuning_told(result.twin_tuning), "")
    width = [f"{arm.setup.hidden}, {arm.setup.expansion:.2f}" for arm in arms]
    speed = [f"{arm.decode_ms / base:.2f}" for arm in arms]
    sizes = [f"{arm.parameters:,}" for arm in arms]
    return (
        ("parameters", (sizes[0], sizes[1], sizes[2])),
        ("width, expansion", (width[0], width[1], width[2])),
        ("loss at 1/3x, 1x, 3x the rate", tuned),
        ("decoding, CPU time to baseline's", (speed[0], speed[1], speed[2])),
        (
            "state, bytes a layer",
            (f"{result.state_bytes:,}", "", f"{result.baseline_state_bytes:,}"),
        ),
    )


def tuning_told(tuning: Tuning) -> str:
    """Return the losses of a design over the learning rates."""
    return ", ".join(f"{t.loss:.4f}" if isinstance(t, Tuned) else "failed" for t in tuning.tried)


def cause_view(cause: Cause) -> RenderableType:
    """Show what each mechanism contributes, and what may be stripped."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("what the design does to the root", overflow="fold")
    table.add_column("is worth", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("so", overflow="fold")
    for one in cause.mechanisms:
        table.add_row(plain(one.mechanism), *removal_cells(one))
    return table


def removal_cells(one: Removed | NotHad) -> tuple[str, str, str]:
    """Return what a mechanism is worth, the interval, and what follows, as text."""
    if isinstance(one, NotHad):
        return "-", "-", f"not measured: {plain(' '.join(one.reason.split())[:200]).plain}"
    gain, interval, _ = gain_cells(one.contribution)
    return gain, interval, "may be stripped" if one.strippable else "needed"


def agreement_view(certificate: Certificate, found: Agreement) -> RenderableType:
    """Show whether a certificate holds here."""
    style = "bold green" if found.agrees else "bold red"
    head = Text("agrees" if found.agrees else "disagrees", style=style)
    head.append_text(plain(f"  {certificate.subject.name}: {certificate.verdict}"))
    parts: list[RenderableType] = [head]
    if figures := found.figures:
        exact = "same machine and versions" if figures.exact else "another machine or version"
        parts.append(
            Text(
                f"{figures.gain:+.4f} nats against the twin here, {figures.told:+.4f} in the "
                f"certificate, on the same {figures.seeds} seeds ({exact})"
            )
        )
    return Group(*parts, plain(found.reason))
