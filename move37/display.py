"""What people see on the terminal: tables, trees and curves of records, as rich renderables.

Text that a model or a candidate wrote is never read as markup, and its control characters are
shown instead of obeyed: a terminal takes orders from them.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from move37.evaluation.gates.thresholds import (
    BUDGET_HIDDEN,
    HEADS,
    LAYERS,
    STATE_LENGTHS,
    TOLERANCE,
)
from move37.evaluation.isolation.walls import CLEAN_ENVIRONMENT
from move37.evaluation.saving import saving, told
from move37.evaluation.standing import (
    TASK,
    Against,
    Standing,
    against,
    best,
    luck_told,
    name_of,
    standings,
    text_noise,
)
from move37.records import (
    Baseline,
    Campaign,
    CurvePoint,
    Experiment,
    Failed,
    GateReport,
    GateResult,
    Measured,
    Novelty,
    Outcome,
    Stage,
)
from move37.selection_view import (
    analysis_lines,
    arms_view,
    believed_line,
    forecast_line,
    judge_line,
    judge_record,
    luck_lines,
    marks_line,
)
from move37.spending_view import spending, spending_table, spent_line

if TYPE_CHECKING:
    from move37.agents.models.calls import Totals
    from move37.evaluation.calibration.null import Null
    from move37.evaluation.sheet import Sheet

MIDDLE, NEAR = 0.5, 0.05
BLOCKS = " ▁▂▃▄▅▆▇█"
REASON_WIDTH = 100
CHART_WIDTH, CHART_HEIGHT = 60, 5
VERDICT_STYLES = {"within noise": "yellow", "better, not yet verified": "green", "worse": "red"}
UNWALLED = "WITHOUT isolation (MOVE37_ISOLATION=off): only for code that you trust"
STAGES: dict[Stage, str] = {
    "policy": "The static policy refused the file before any process was started.",
    "gate": "A check before any training failed.",
    "train": "The candidate raised, broke off, or was stopped while it ran.",
    "timeout": "The candidate used more time than it was given.",
    "memory": "The candidate asked for more memory than it was given.",
    "pruned": "No fault: the run lagged behind earlier ones at the same step and was stopped "
    "early, to save time. How good it would have become is not known.",
    "audit": "Every gate passed before training, but the trained model broke a rule that the "
    "untrained one had kept: the same text brought other predictions in another batch, with "
    "another continuation, cut short, or read in one go, or a loss fell below what is possible. "
    "Such a held-out loss means nothing, so none is recorded.",
}


def console() -> Console:
    """Return a console on standard output; without colours where that is no terminal."""
    return Console(highlight=False)


def plain(text: str, style: str = "") -> Text:
    """Return untrusted text without markup and with its control characters made visible."""
    shown = (c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    return Text("".join(shown), style=style)


def isolation_line(tier: str, remark: str = "") -> Text:
    """Return one line on what candidates are run behind, loud when that is nothing."""
    if tier == CLEAN_ENVIRONMENT:
        return Text(f"Candidates ran {UNWALLED}", style="bold white on red")
    told = f"isolation {tier}"
    return plain(f"{told}; {remark}", "yellow") if remark else Text(told, style="dim")


def fitness_style(fitness: float | None) -> str:
    """Return the colour of a fitness; the root template stands at 0.5."""
    if fitness is None:
        return "dim"
    if abs(fitness - MIDDLE) < NEAR:
        return "yellow"
    return "green" if fitness > MIDDLE else "red"


# --- a campaign --------------------------------------------------------------------------------


def leaderboard(
    campaign: Campaign, experiments: Sequence[Experiment], null: Null | None = None
) -> RenderableType:
    """Rank what was measured beside the baseline and its noise, or the null where it is known."""
    title = plain(f"Leaderboard of {campaign.config.name}", "bold")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("#", "loss", "against 0", "believed", "fitness"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("design", overflow="fold")
    table.add_column("verdict", min_width=len("yet verified"))
    if campaign.baseline:
        table.add_row(*_root_row(campaign.baseline))
    lines = standings(campaign, experiments)
    for line in lines:
        table.add_row(*_row(line))
    caution = _caution(campaign, lines, null)
    return Group(table, *caution, *luck_lines(campaign, experiments))


def _root_row(baseline: Baseline) -> tuple[RenderableType, ...]:
    noise = baseline.noise[TASK]
    spread = f"± {noise.sd:.4f}"
    figures = (f"{noise.mean:.4f}", spread, "", f"{MIDDLE:.3f}")
    return ("0", *figures, plain(baseline.name), f"{noise.seeds} seeds")


def _row(line: Standing) -> tuple[RenderableType, ...]:
    experiment = line.experiment
    fitness = experiment.fitness
    shown = "-" if fitness is None else f"{fitness:.3f}"
    return (
        str(experiment.number),
        f"{line.loss:.4f}",
        _difference(line.against),
        f"{line.estimate.mean:.4f}" if line.estimate else "-",
        Text(shown, style=fitness_style(fitness)),
        plain(line.name),
        Text(line.verdict, style=VERDICT_STYLES.get(line.verdict, "dim")),
    )


def _difference(difference: Against | None) -> str:
    return f"{difference.delta:+.4f} ± {difference.sd:.4f}" if difference else "-"


def _caution(campaign: Campaign, lines: Sequence[Standing], null: Null | None) -> Iterator[Text]:
    noise = text_noise(campaign)
    yield from _unwalled(campaign)
    if not lines:
        yield Text("Nothing was measured yet.", style="dim")
    elif noise:
        yield Text(
            "Loss in nats per token (a byte unless the tier has a tokenizer), held out, lower is "
            "better; ± is one standard deviation of the noise. "
            f"{luck_told(len(lines), noise.sd, null)}{believed_line(lines)}",
            style="dim",
        )


def _unwalled(campaign: Campaign) -> Iterator[Text]:
    """Say so where the numbers of a campaign were measured without walls."""
    if campaign.baseline and campaign.baseline.provenance.isolation == CLEAN_ENVIRONMENT:
        yield isolation_line(CLEAN_ENVIRONMENT)


def family_tree(campaign: Campaign, experiments: Sequence[Experiment]) -> Tree:
    """Draw who descends from whom; the root template is number 0."""
    mean = text_noise(campaign)
    label = Text("0 ", style="bold").append_text(plain(campaign.config.root))
    label.append(f"  {mean.mean:.4f} ± {mean.sd:.4f}" if mean else "", style="dim")
    tree = Tree(label)
    branches = {0: tree}
    for experiment in sorted(experiments, key=lambda e: e.number):
        above = branches.get(experiment.parent, tree)
        branches[experiment.number] = above.add(leaf(experiment))
    return tree


def leaf(experiment: Experiment) -> Text:
    """Return one experiment as a line of a tree or a board."""
    style = fitness_style(experiment.fitness)
    label = Text(f"{experiment.number} ", style="bold").append_text(
        plain(name_of(experiment), style)
    )
    outcome = experiment.outcome
    if isinstance(outcome, Measured):
        label.append(f"  {outcome.loss(TASK):.4f}")
    if experiment.fitness is not None:
        return label.append(f"  fitness {experiment.fitness:.3f}", style=style)
    return label.append_text(plain(f"  {experiment.status}{_why(experiment)}", style="dim"))


def _why(experiment: Experiment) -> str:
    """Return where a failure happened; one that never came to a training has its reason alone."""
    outcome = experiment.outcome
    if isinstance(outcome, Failed):
        return ": stopped early" if outcome.stage == "pruned" else f" at {outcome.stage}"
    return (
        f": {shorten(experiment.reason, REASON_WIDTH, placeholder=' ...')}"
        if experiment.reason
        else ""
    )


def status_view(
    campaign: Campaign,
    experiments: Sequence[Experiment],
    null: Null | None = None,
    books: Totals | None = None,
) -> RenderableType:
    """Say in a few lines where a campaign stands, and what luck alone does where it is known.

    `books` are the totals of its model calls, where they were kept.
    """
    config, noise = campaign.config, text_noise(campaign)
    counts = Counter(experiment.status for experiment in experiments)
    ended = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none yet"
    facts = {
        "campaign": f"{config.name}, tier {config.tier}, seed {config.seed}",
        "experiments": f"{len(experiments)} of {config.experiments} ended: {ended}",
        "baseline": "not measured yet",
        "isolation": "not known yet",
        "best": "nothing scored yet",
        "time": duration(sum(e.seconds for e in experiments)),
        "early stopping": "on" if config.early_stopping else "off",
        "models": ", ".join(sorted(set(config.models.values()))) or "-",
    }
    if campaign.baseline:
        facts["isolation"] = campaign.baseline.provenance.isolation
        if config.early_stopping:
            facts["early stopping"] = told(saving(experiments, campaign.baseline))
    if noise:
        spread = f"{noise.mean:.4f} ± {noise.sd:.4f} over {noise.seeds} seeds"
        facts["baseline"] = f"{config.root} {spread}"
    if top := best(campaign, experiments):
        number, result = top.experiment.number, f"{_difference(top.against)}, {top.verdict}"
        facts["best"] = f"#{number} {top.name}: fitness {top.experiment.fitness:.3f}, {result}"
    measured = len(standings(campaign, experiments))
    if noise and null and measured:
        facts["luck"] = luck_told(measured, noise.sd, null)
    if any(experiment.forecast for experiment in experiments):
        facts["judge"] = judge_line(judge_record(campaign, experiments))
    costs = spending(experiments, books)
    if costs:
        facts["spent"] = spent_line(costs, config.caps)
    tables = [spending_table(costs)] if costs else []
    arms = arms_view(campaign, experiments)
    return Group(*_unwalled(campaign), _facts(facts), *tables, *arms)


def duration(seconds: float) -> str:
    """Return a time as 4s, 3m 07s or 2h 05m."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def _facts(facts: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, plain(value))
    return table


def templates_view(sheets: Sequence[Sheet]) -> RenderableType:
    """Show what each template costs, how that grows with the length, and whether it decodes."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("template", overflow="fold")
    for column in ("params", "ops/token", "bytes", "cost", "state", "decodes"):
        table.add_column(column, justify="right", no_wrap=True)
    for sheet in sheets:
        name = f"{sheet.name} (quadratic)" if sheet.quadratic else sheet.name
        figures = (
            f"{sheet.parameters:,}",
            f"{sheet.operations:,.0f}",
            f"{sheet.state_bytes:,}",
            f"T^{sheet.cost_exponent:.2f}",
            f"T^{sheet.state_exponent:.2f}",
        )
        decodes = Text("yes") if sheet.decodes else Text("no", style="red")
        table.add_row(name, *figures, decodes, style="dim" if sheet.quadratic else "")
    told = (
        f"A layer of width {BUDGET_HIDDEN}, {HEADS} heads, the mean of the first {LAYERS}. Bytes "
        f"are the state of a sequence after {STATE_LENGTHS[-1]:,} tokens; cost and state grow "
        "with the length T. Decodes: one token at a time, "
        "from the state, gives what all at once give, "
        f"to within {TOLERANCE:.0e}."
    )
    return Group(table, Text(told, style="dim"))


def findings_view(findings: Sequence[tuple[str, bool, str, str]]) -> Table:
    """Show name, whether all is well, detail and advice of each finding of the doctor."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, ok, detail, advice in findings:
        mark = Text("ok", style="green") if ok else Text("--", style="yellow")
        table.add_row(mark, name, plain(detail))
        if advice:
            table.add_row("", "", plain(f"-> {advice}", "yellow"))
    return table


# --- one experiment ----------------------------------------------------------------------------


def experiment_view(campaign: Campaign, experiment: Experiment, parent_code: str) -> RenderableType:
    """Show one experiment: idea, lineage, gates, curves, result, and its code as a diff."""
    head = Text(f"Experiment {experiment.number}  ", style="bold")
    head.append_text(plain(name_of(experiment), fitness_style(experiment.fitness)))
    facts = _facts(_lineage(experiment) | _provenance(campaign, experiment.outcome))
    parts: list[RenderableType] = [*_unwalled(campaign), head, facts]
    if experiment.proposal:
        parts += [Rule("motivation", align="left"), plain(experiment.proposal.motivation)]
        parts += [Rule("hypothesis", align="left"), plain(experiment.proposal.hypothesis)]
    parts += _outcome_parts(experiment.outcome)
    if experiment.analysis:
        parts += [Rule("analysis", align="left"), *map(plain, analysis_lines(experiment.analysis))]
    if experiment.proposal:
        parts += [Rule("code against the parent", align="left")]
        parts += [_diff(parent_code, experiment.proposal.code)]
    return Group(*parts)


def _lineage(experiment: Experiment) -> dict[str, str]:
    facts = {
        "id": experiment.id,
        "status": f"{experiment.status} {experiment.reason}".strip(),
        "parent": f"{experiment.parent} ({experiment.selection_reason or 'no reason given'})",
        "references": ", ".join(map(str, experiment.references)) or "-",
        "time": duration(experiment.seconds),
    }
    if experiment.judgement:
        terms = ", ".join(f"{k} {v:.3f}" for k, v in experiment.judgement.terms.items())
        facts["fitness"] = f"{experiment.judgement.fitness:.3f} = {terms}"
        facts["judge"] = marks_line(experiment.judgement)
        if known := experiment.judgement.estimate:
            facts["believed"] = f"loss {known.mean:.4f} ± {known.sd:.4f} nats per token"
    if experiment.forecast:
        facts["predicted"] = forecast_line(experiment.forecast)
    if experiment.arm:
        facts["arm"] = f"{experiment.arm}, a control"
    if experiment.novelty:
        facts |= _novelty(experiment.novelty)
    return facts | {f"revision {i}": text for i, text in enumerate(experiment.revisions, start=1)}


def _novelty(novelty: Novelty) -> dict[str, str]:
    """Return the verdict, and what lay nearest by idea and by code."""
    ideas = ", ".join(f"{number} (cosine {near:.3f})" for number, near in novelty.nearest)
    code = ", ".join(f"{number} (similarity {near:.3f})" for number, near in novelty.nearest_code)
    return {
        "novelty": f"{novelty.verdict}: {novelty.reason or 'no reason given'}",
        "nearest ideas": ideas or "-",
        "nearest code": code or "-",
    }


def _provenance(campaign: Campaign, outcome: Outcome | None) -> dict[str, str]:
    """Return the isolation: a failure ran behind the same walls as its campaign's baseline."""
    measured = outcome if isinstance(outcome, Measured) else campaign.baseline
    return {"isolation": measured.provenance.isolation} if measured and outcome else {}


def _outcome_parts(outcome: Outcome | None) -> list[RenderableType]:
    match outcome:
        case None:
            return []
        case Failed():
            early = outcome.stage == "pruned"
            title = Rule("stopped early" if early else f"failed at {outcome.stage}", align="left")
            return [title, failure_view(outcome), *curves(outcome.curve)]
        case Measured():
            held_out = (Rule("held out", align="left"), _scores(outcome, None))
            return [*_checks(outcome), *held_out, _facts(_spent(outcome)), *curves(outcome.curve)]


def failure_view(failed: Failed) -> RenderableType:
    """Explain a failure: its stage, the gates that were run, the reason, and the log's end."""
    parts: list[RenderableType] = [Text(STAGES[failed.stage])]
    parts += [ladder_view(failed.gates)] if failed.gates and failed.gates.gates else []
    # What failed in the ladder stands under it, and the reason would repeat that.
    told = failed.gates is not None and not failed.gates.passed
    if failed.stage not in ("gate", "audit") or not told:
        parts.append(plain(f"{failed.stage}: {failed.reason}", "red"))
    return Group(*parts, *([plain(failed.log.rstrip(), "dim")] if failed.log else []))


def _checks(measured: Measured) -> Iterator[RenderableType]:
    yield Rule("gates, before training", align="left")
    yield ladder_view(measured.gates)
    if measured.audit.gates:
        yield Rule("audit of the trained weights", align="left")
        yield ladder_view(measured.audit)


def ladder_view(report: GateReport) -> RenderableType:
    """Show each gate with figure and limit; under it the case of each failure and its cure."""
    failed = [gate for gate in report.gates if not gate.passed]
    return Group(_ladder(report), *(_failed_gate(gate) for gate in failed))


def _ladder(report: GateReport) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("gate", no_wrap=True)
    table.add_column("what it checks", overflow="fold")
    table.add_column("", no_wrap=True)
    for column in ("measured", "limit"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("remark", overflow="fold")
    for gate in report.gates:
        mark = Text("passed", style="green") if gate.passed else Text("failed", style="bold red")
        figures = (gate.told, f"{gate.threshold:.3g}")
        remark = plain(gate.detail if gate.passed else "see below", "dim")
        table.add_row(gate.id, plain(gate.name), mark, *figures, remark)
    return table


def _failed_gate(gate: GateResult) -> RenderableType:
    head = Text(gate.id, style="bold red").append_text(plain(f" {gate.name}", "bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in (("  case", gate.detail), ("  mend", gate.advice)):
        if text:
            table.add_row(name, plain(text))
    return Group(head, table)


def verdict_line(report: GateReport) -> Text:
    """Return the verdict of a ladder in one line."""
    failed = [gate for gate in report.gates if not gate.passed]
    asked = f"{len(report.gates)} checks in {report.seconds:.1f} s"
    if report.passed:
        return Text(f"passed: {asked}", style="bold green")
    names = ", ".join(f"{gate.id} {gate.name}" for gate in failed) or "nothing was asked"
    return plain(f"failed: {names} ({asked})", "bold red")


def measured_view(measured: Measured, baseline: Baseline) -> RenderableType:
    """Show the result of one evaluation beside the baseline's noise."""
    size = measured.size
    against_baseline = f"{size.parameters:,} (baseline {baseline.size.parameters:,})"
    facts = _spent(measured) | {"parameters": against_baseline}
    parts = (*_checks(measured), Rule("held out", align="left"), _scores(measured, baseline))
    return Group(*parts, _facts(facts), *curves(measured.curve))


def _spent(measured: Measured) -> dict[str, str]:
    """Return size, cost, and the forms in which the ops trained."""
    cost, size = measured.cost, measured.size
    facts = {
        "parameters": f"{size.parameters:,}",
        "state": f"{size.state_bytes:,} bytes a sequence and layer",
        "time": f"gates {cost.gate_seconds:.1f} s, training {cost.train_seconds:.1f} s, "
        f"scoring {cost.score_seconds:.1f} s",
        "memory": f"{cost.peak_bytes / 2**20:.0f} MiB at most",
    }
    if measured.spared:
        why = measured.spared.reason
        facts["spared"] = f"by lot; else stopped early: {why}" if why else "by lot, needlessly"
    ops = ", ".join(f"{op} {form}" for op, form in measured.forms.items())
    return facts | ({"ops": f"{ops} (told by the box)"} if ops else {})


def _scores(measured: Measured, baseline: Baseline | None) -> Table:
    table = Table()
    columns = ("held out", "nats a token", "baseline", "difference", "verdict")
    for column in columns if baseline else columns[:2]:
        table.add_column(column)
    for task in dict.fromkeys(score.task for score in measured.scores):
        loss = measured.loss(task)
        table.add_row(plain(task), f"{loss:.4f}", *_compared(measured, task, baseline))
    return table


def _compared(measured: Measured, task: str, baseline: Baseline | None) -> tuple[str, ...]:
    noise = baseline.noise.get(task) if baseline else None
    if noise is None:
        return ()
    seeds = sum(score.task == task for score in measured.scores)
    difference = against(measured.loss(task), seeds, noise)
    return (f"{noise.mean:.4f} ± {noise.sd:.4f}", _difference(difference), difference.verdict)


def curves(points: Sequence[CurvePoint]) -> Iterator[RenderableType]:
    """Draw the training loss of each task as a small chart of block characters."""
    for task in dict.fromkeys(point.task for point in points):
        of_task = [point for point in points if point.task == task]
        if len(of_task) > 1:
            title = f"training loss, {task}: {of_task[0].loss:.3f} to {of_task[-1].loss:.3f}"
            yield Rule(plain(f"{title} in {of_task[-1].step} steps"), align="left")
            yield chart([point.loss for point in of_task])


def chart(values: Sequence[float], width: int = CHART_WIDTH, height: int = CHART_HEIGHT) -> Text:
    """Draw values as columns of eighth blocks; the axis runs from their least to their largest."""
    count = min(width, len(values))
    cells = [
        values[i * len(values) // count : (i + 1) * len(values) // count] for i in range(count)
    ]
    means = [sum(cell) / len(cell) for cell in cells]
    low, high = min(means), max(means)
    full = (len(BLOCKS) - 1) * height
    heights = [1 + round((full - 1) * (v - low) / ((high - low) or 1.0)) for v in means]
    rows = []
    for level in reversed(range(height)):
        filled = (min(8, max(0, h - 8 * level)) for h in heights)
        label = {height - 1: f"{high:8.3f}", 0: f"{low:8.3f}"}.get(level, " " * 8)
        rows.append(f"{label} ┤" + "".join(BLOCKS[part] for part in filled))
    return Text("\n".join(rows), style="cyan", no_wrap=True)


def _diff(before: str, after: str) -> RenderableType:
    lines = difflib.unified_diff(
        plain(before).plain.splitlines(), plain(after).plain.splitlines(), "parent", "candidate",
        lineterm="",
    )  # fmt: skip
    text = "\n".join(lines)
    if not text:
        return Text("the same code", style="dim")
    return Syntax(text, "diff", theme="ansi_dark", background_color="default", word_wrap=True)
