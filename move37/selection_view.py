"""How selection did, on the terminal: the arms of a campaign side by side, the judge's record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from move37.evaluation.standing import Luckless, Standing, text_noise, without_luck
from move37.evaluation.statistics.intervals import Interval
from move37.memory.arms import ArmStanding, arm_standings
from move37.memory.forecasts import TrackRecord, track_record
from move37.records import Analysis, Campaign, Experiment, Forecast, Judgement


def arms_view(campaign: Campaign, experiments: Sequence[Experiment]) -> Iterator[RenderableType]:
    """Show the campaign's policy beside its control arms; nothing where it has none."""
    noise = text_noise(campaign)
    if not campaign.config.arms or noise is None:
        return
    standings = arm_standings(campaign.config, experiments, noise)
    table = Table(title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("arm", no_wrap=True)
    for standing in standings:
        table.add_column(arm_name(standing), justify="right")
    for row in arm_rows(standings):
        table.add_row(*row)
    yield Group(table, Text(arms_caution(standings), style="dim"))


def arms_caution(standings: Sequence[ArmStanding]) -> str:
    """Say what the figures of the arms mean and what they do not."""
    fewest = min(standing.experiments for standing in standings)
    return (
        "Gains are what is believed of the fall of held-out loss against the baseline, nats per "
        "byte; the mean is over the scored designs of an arm, ± half its 95 % interval. More tries "
        f"find a better best by number alone, so compare the best of the first {fewest}."
    )


def arm_name(standing: ArmStanding) -> str:
    """Return the policy of an arm, marked where it is a control."""
    return f"{standing.policy} (control)" if standing.control else standing.policy


def arm_rows(standings: Sequence[ArmStanding]) -> list[tuple[str, ...]]:
    """Return a row for each figure: its name, then the figure of each arm."""
    fewest = min(standing.experiments for standing in standings)
    names = ("scored", "mean gain", "best gain", "its 95 %", f"best of first {fewest}")
    rows = zip(*map(_figures, standings), strict=True)
    named = zip((*names, "best / experiment", "best / CPU s", "CPU s"), rows, strict=True)
    return [(name, *row) for name, row in named]


def _figures(standing: ArmStanding) -> tuple[str, ...]:
    best = standing.best
    return (
        f"{standing.scored} of {standing.experiments}",
        _mean_gain(standing),
        f"{best.gain:+.4f} #{best.number}" if best else "-",
        _span(best.interval) if best else "-",
        _small(standing.at_equal, 4),
        _small(standing.for_each_experiment, 4),
        _small(standing.for_each_cpu_second, 5),
        f"{standing.cpu_seconds:,.0f}",
    )


def _mean_gain(standing: ArmStanding) -> str:
    """Return the mean gain of an arm, with half its interval where there is one."""
    if standing.mean is None:
        return "-"
    interval = standing.mean_interval
    half = f" ± {(interval.high - interval.low) / 2:.4f}" if interval else ""
    return f"{standing.mean:+.4f}{half}"


def _span(interval: Interval) -> str:
    """Return an interval of gains as text."""
    return f"{interval.low:+.3f} to {interval.high:+.3f}"


def _small(value: float | None, digits: int) -> str:
    """Return a figure, or a dash where there is none."""
    return "-" if value is None else f"{value:+.{digits}f}"


def judge_record(campaign: Campaign, experiments: Sequence[Experiment]) -> TrackRecord:
    """Return the judge's record over a whole campaign, as the next experiment would see it."""
    return track_record(experiments, campaign.config.seed)


def judge_line(record: TrackRecord) -> str:
    """Say in one line how the judge's predictions came out and what they earned it."""
    if record.rank is None or record.interval is None:
        return f"{record.outcomes} predictions came out so far: too few to say; weight 0"
    agrees = "unknown" if record.reliability is None else f"{record.reliability:.2f}"
    return (
        f"rank correlation of predicted and measured gain {record.rank:+.2f} "
        f"({record.interval.low:+.2f} to {record.interval.high:+.2f}) over {record.outcomes} "
        f"outcomes, retest reliability {agrees}; weight {record.weight:.3f}"
    )


def forecast_line(forecast: Forecast) -> str:
    """Return what the judge expected of one design, each scoring beside its SD."""
    told = ", ".join(f"{one.gain:+.4f} ± {one.sd:.4f}" for one in forecast.scorings)
    return f"gain over its parent {told} nats, before the training ({forecast.scorings[0].reason})"


def marks_line(judgement: Judgement) -> str:
    """Return the judge's marks, how far its scorings agree, and its reason."""
    rubric = judgement.rubric
    marks = ", ".join(f"{name} {mark:.1f}" for name, mark in rubric.marks.items())
    spread = "" if judgement.spread is None else f" ± {judgement.spread:.1f}"
    times = len(judgement.scorings)
    asked = f" over {times} {'scoring' if times == 1 else 'scorings'}" if times else ""
    return f"{marks}; mean {10 * rubric.score:.1f}{spread}{asked}. {rubric.reason}"


def analysis_lines(analysis: Analysis) -> list[str]:
    """Return what an experiment taught: lessons with their experiments, and what is open."""
    lines = [analysis.summary, *([f"Cause: {analysis.cause}"] if analysis.cause else [])]
    for place, lesson in enumerate(analysis.lessons):
        numbers = analysis.evidence[place] if place < len(analysis.evidence) else ()
        shown = f" ({', '.join(f'#{one}' for one in numbers)})" if numbers else ""
        lines.append(f"- {lesson}{shown}")
    return lines + [f"? {question}" for question in analysis.questions]


def luck_line(luckless: Luckless) -> str:
    """Say what is left of the gain of the lowest loss when the luck of the best is taken off."""
    number, found = luckless.standing.experiment.number, luckless.corrected
    return (
        f"The lowest loss, #{number}, gained {found.raw:+.4f} as measured; without the luck of "
        f"the best of {found.screened} it is {found.gain:+.4f} ({_span(found.interval)}, 95 %), "
        "not yet verified."
    )


def luck_lines(campaign: Campaign, experiments: Sequence[Experiment]) -> Iterator[Text]:
    """Yield the corrected gain of the lowest loss, where there are enough designs to say."""
    if luckless := without_luck(campaign, experiments):
        yield Text(luck_line(luckless), style="dim")


def believed_line(lines: Sequence[Standing]) -> str:
    """Say what stands in the column `believed`, and how sure it is."""
    spreads = sorted(line.estimate.sd for line in lines if line.estimate)
    if not spreads:
        return ""
    low, high = f"{spreads[0]:.4f}", f"{spreads[-1]:.4f}"
    told = low if low == high else f"{low} to {high}"
    return f" Believed: the loss shrunk towards what its parent let expect, ± {told}."
