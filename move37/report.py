"""One self-contained HTML file of a campaign; it opens offline.

Names, motivations, code and logs come from models and candidates and are hostile: everything is
escaped, and the page's own policy allows its two scripts by their hashes and no connection.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import html
from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from move37.evaluation.isolation.walls import CLEAN_ENVIRONMENT
from move37.evaluation.pruning import RULE, smoothed, window_of
from move37.evaluation.saving import saving, told
from move37.evaluation.standing import (
    TASK,
    Standing,
    best,
    luck_told,
    name_of,
    standings,
    text_noise,
    without_luck,
)
from move37.files import write_atomically
from move37.memory.arms import arm_standings
from move37.memory.use import origins, payoffs
from move37.records import (
    Campaign,
    Candidate,
    CurvePoint,
    Experiment,
    Failed,
    Measured,
    UserError,
    Value,
)
from move37.selection_view import (
    analysis_lines,
    arm_name,
    arm_rows,
    arms_caution,
    judge_record,
    luck_line,
    marks_line,
)
from move37.spending_view import cells, spending, spent_line

if TYPE_CHECKING:
    from move37.agents.models.calls import Totals
    from move37.evaluation.calibration.null import Null

# Half the width of the baseline's band, in standard deviations over seeds.
SIGMAS = 2.0
Figure = dict[str, Any]
DIFF_CLASSES = {"+": "added", "-": "removed", "@": "place"}
PARTS = ("gates", "training", "scoring", "other")


class Spent(Value):
    """Seconds of one experiment by what they were spent on."""

    number: int
    gates: float
    training: float
    scoring: float
    other: float


def write_report(
    campaign: Campaign,
    experiments: Sequence[Experiment],
    root: Candidate,
    path: Path,
    null: Null | None = None,
    books: Totals | None = None,
) -> Path:
    """Write the report of a campaign to `path`, whole or not at all, and return the path.

    `books` are the totals of its model calls, where they were kept.

    Raises:
        UserError: the file cannot be written.
    """
    text = render_report(campaign, experiments, root, null, books)
    try:
        write_atomically(path, text)
    except OSError as error:
        reason = f"cannot write the report {path} ({error.strerror}): free space or fix its rights"
        raise UserError(reason) from error
    return path


def render_report(
    campaign: Campaign,
    experiments: Sequence[Experiment],
    root: Candidate,
    null: Null | None = None,
    books: Totals | None = None,
) -> str:
    """Return the report as HTML."""
    ordered = sorted(experiments, key=lambda experiment: experiment.number)
    top = best(campaign, ordered)
    noise = text_noise(campaign)
    lines = standings(campaign, ordered)
    spent = [spent_on(experiment) for experiment in ordered]
    figures = _figures(campaign, ordered, root, top)
    arms = arm_standings(campaign.config, ordered, noise) if noise and campaign.config.arms else []
    luckless = without_luck(campaign, ordered)
    costs = spending(ordered, books)
    analysis, judgement = (
        (top.experiment.analysis, top.experiment.judgement) if top else (None,) * 2
    )
    return template("report.html.j2").render(
        campaign=campaign,
        experiments=ordered,
        root=root,
        noise=noise,
        best=top,
        taught=analysis_lines(analysis) if analysis else [],
        marks=marks_line(judgement) if judgement else "",
        unwalled=_unwalled(campaign),
        lines=lines,
        luck=luck_told(len(lines), noise.sd, null) if noise else "",
        names={experiment.number: name_of(experiment) for experiment in ordered} | {0: root.name},
        counts=_counts(ordered),
        arms=[arm_name(arm) for arm in arms],
        arm_rows=arm_rows(arms) if arms else [],
        arms_caution=arms_caution(arms) if arms else "",
        judged=judge_record(campaign, ordered),
        corrected=luck_line(luckless) if luckless else "",
        failures=[e for e in ordered if e.status in ("failed", "refused", "unjudged")],
        diff=_diff(top, ordered, root) if top else [],
        spent=spent,
        stopping=_stopping(campaign, ordered),
        total={name: sum(getattr(s, name) for s in spent) for name in PARTS},
        costs=[(line.role, cells(line)) for line in costs],
        spent_in_all=spent_line(costs, campaign.config.caps) if costs else "",
        origins=origins(ordered),
        paid=payoffs(ordered, root, noise.sd if noise else 0.0),
        figures=figures,
        curves=[name for name in figures if name.startswith("curve-")],
        library=Markup(get_plotlyjs()),
        policy=content_policy,
    )


def template(name: str) -> Template:
    """Return a page of this package; everything that is put into it is escaped."""
    pages = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        loader=FunctionLoader(_page),
    )
    pages.filters["duration"] = _duration
    return pages.get_template(name)


def _page(name: str) -> str:
    return files("move37").joinpath(name).read_text(encoding="utf-8")


def content_policy(*scripts: str) -> str:
    """Return a content security policy that runs exactly these scripts and fetches nothing."""
    digests = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    pictures = "img-src data: blob:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; {pictures}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


# --- what is counted ---------------------------------------------------------------------------


def spent_on(experiment: Experiment) -> Spent:
    """Split an experiment's seconds; `other` is everything that no evaluation accounts for."""
    cost = experiment.outcome.cost if experiment.outcome else None
    known = (cost.gate_seconds, cost.train_seconds, cost.score_seconds) if cost else (0.0, 0.0, 0.0)
    gates, training, scoring = known
    rest = max(0.0, experiment.seconds - sum(known))
    return Spent(
        number=experiment.number, gates=gates, training=training, scoring=scoring, other=rest
    )


def _unwalled(campaign: Campaign) -> bool:
    """Whether candidates ran without isolation; a campaign has one and the same to its end."""
    baseline = campaign.baseline
    return baseline is not None and baseline.provenance.isolation == CLEAN_ENVIRONMENT


def _stopping(campaign: Campaign, experiments: Sequence[Experiment]) -> str:
    """Return what early stopping saved and cost, in a sentence."""
    if not campaign.config.early_stopping or campaign.baseline is None:
        return "off"
    return told(saving(experiments, campaign.baseline))


def _counts(experiments: Sequence[Experiment]) -> dict[str, int]:
    counts = dict.fromkeys(("scored", "failed", "refused", "unjudged"), 0)
    for experiment in experiments:
        counts[experiment.status] += 1
    return counts


def _diff(
    top: Standing, experiments: Sequence[Experiment], root: Candidate
) -> list[tuple[str, str]]:
    """Return (CSS class, line) of the best design's code against its parent's."""
    number = top.experiment.parent
    parent = next((e.proposal for e in experiments if e.number == number and e.proposal), None)
    before, after = (parent or root).code, top.experiment.proposal
    lines = list(
        difflib.unified_diff(
            before.splitlines(),
            after.code.splitlines() if after else [],
            f"{number} {parent.name if parent else root.name}",
            f"{top.experiment.number} {top.name}",
            lineterm="",
        )
    )
    names = [("place", line) for line in lines[:2]]
    return names + [(DIFF_CLASSES.get(line[:1], ""), line) for line in lines[2:]]


# --- figures: plotly's own JSON, coloured in the browser to fit light and dark ------------------


def _figures(
    campaign: Campaign, experiments: Sequence[Experiment], root: Candidate, top: Standing | None
) -> dict[str, Figure]:
    figures = {"tree": tree_figure(experiments, root)}
    if any(isinstance(experiment.outcome, Measured) for experiment in experiments):
        figures["fitness"] = fitness_figure(experiments, root)
        figures["loss"] = loss_figure(campaign, experiments)
    if campaign.baseline or top:
        figures |= curve_figures(campaign, top)
    if experiments:
        figures["cost"] = cost_figure([spent_on(experiment) for experiment in experiments])
    return {name: figure for name, figure in figures.items() if figure["data"]}


def _label(number: int, name: str, *facts: str) -> str:
    """Return a hover text; plotly reads a subset of HTML, so the name is escaped once more."""
    return "<br>".join((f"<b>{number}</b> {html.escape(name)}", *facts))


def _hover(experiment: Experiment) -> str:
    facts: list[str] = [experiment.status]
    if isinstance(experiment.outcome, Measured):
        facts.append(f"loss {experiment.outcome.loss(TASK):.4f}")
    if isinstance(experiment.outcome, Failed):
        early = experiment.outcome.stage == "pruned"
        facts.append("stopped early" if early else f"at {experiment.outcome.stage}")
    if experiment.fitness is not None:
        facts.append(f"fitness {experiment.fitness:.3f}")
    return _label(experiment.number, name_of(experiment), *facts)


def tree_places(parents: dict[int, int]) -> dict[int, tuple[float, int]]:
    """Return (column, depth) of each number, 0 included: leaves side by side, parents centred."""
    children: dict[int, list[int]] = defaultdict(list)
    for number in sorted(parents):
        known = parents[number] if parents[number] in parents else 0
        children[known if known < number else 0].append(number)
    depth, order, todo = {0: 0}, [], [0]
    while todo:
        number = todo.pop()
        order.append(number)
        for child in reversed(children[number]):
            depth[child] = depth[number] + 1
            todo.append(child)
    leaves = [number for number in order if not children[number]]
    column = {number: float(place) for place, number in enumerate(leaves)}
    for number in reversed(order):
        if below := children[number]:
            column[number] = (column[below[0]] + column[below[-1]]) / 2
    return {number: (column[number], depth[number]) for number in order}


def tree_figure(experiments: Sequence[Experiment], root: Candidate) -> Figure:
    """Draw who descends from whom, coloured by fitness; what has no fitness is hollow."""
    places = tree_places({e.number: e.parent for e in experiments})
    edges = _edges(experiments, places)
    scored = [(0, _label(0, root.name, "root template", f"loss {root.loss:.4f}"))]
    scored += [(e.number, _hover(e)) for e in experiments if e.fitness is not None]
    hollow = [(e.number, _hover(e)) for e in experiments if e.fitness is None]
    fitness = [root.fitness, *(e.fitness for e in experiments if e.fitness is not None)]
    span = max(0.05, *(abs(f - root.fitness) for f in fitness))
    scale = {"color": fitness, "cmin": root.fitness - span, "cmax": root.fitness + span}
    bar = {"title": {"text": "fitness"}, "thickness": 10, "outlinewidth": 0}
    dots = _dots(scored, places) | {"marker": scale | {"size": 24, "colorbar": bar}}
    empty = _dots(hollow, places) | {"meta": "quiet"}
    empty["marker"] = {"size": 20, "symbol": "circle-open", "line": {"width": 1.5}}
    rows = max(depth for _, depth in places.values()) + 1
    plain = {"visible": False, "fixedrange": True}
    return _figure([edges, dots, empty], 90 + 64 * rows, xaxis=plain, yaxis=plain)


def _edges(experiments: Sequence[Experiment], places: dict[int, tuple[float, int]]) -> Figure:
    x: list[float | None] = []
    y: list[float | None] = []
    for experiment in experiments:
        above = places.get(experiment.parent, places[0])
        here = places[experiment.number]
        x += [above[0], here[0], None]
        y += [-above[1], -here[1], None]
    return {"x": x, "y": y, "mode": "lines", "hoverinfo": "skip", "meta": "line"}


def _dots(rows: Sequence[tuple[int, str]], places: dict[int, tuple[float, int]]) -> Figure:
    return {
        "x": [places[number][0] for number, _ in rows],
        "y": [-places[number][1] for number, _ in rows],
        "text": [str(number) for number, _ in rows],
        "hovertext": [label for _, label in rows],
        "hoverinfo": "text",
        "mode": "markers+text",
    }


def fitness_figure(experiments: Sequence[Experiment], root: Candidate) -> Figure:
    """Show fitness over experiments, with the best so far as a step line."""
    scored = [(e.number, e.fitness, _hover(e)) for e in experiments if e.fitness is not None]
    record, highest = [], root.fitness
    for _, fitness, _ in scored:
        highest = max(highest, fitness)
        record.append(highest)
    numbers = [number for number, _, _ in scored]
    steps = {"x": [0, *numbers], "y": [root.fitness, *record], "mode": "lines", "meta": "accent"}
    steps |= {"line": {"shape": "hv", "width": 1.5}, "name": "best so far", "hoverinfo": "skip"}
    level = _across(root.fitness, "quiet", dash="dot")
    return _over_experiments([steps, _points(scored)], "fitness", experiments, [level])


def loss_figure(campaign: Campaign, experiments: Sequence[Experiment]) -> Figure:
    """Show held-out loss over experiments above the noise band of the baseline."""
    lines = standings(campaign, experiments)
    rows = sorted((s.experiment.number, s.loss, _hover(s.experiment)) for s in lines)
    shapes = []
    if noise := text_noise(campaign):
        low, high = noise.mean - SIGMAS * noise.sd, noise.mean + SIGMAS * noise.sd
        band = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": low, "y1": high}
        shapes = [band | {"name": "band", "layer": "below", "line": {"width": 0}}]
        shapes.append(_across(noise.mean, "quiet", dash="dot"))
    return _over_experiments([_points(rows)], "held-out loss", experiments, shapes)


def _points(rows: Sequence[tuple[int, float, str]]) -> Figure:
    points = {"x": [row[0] for row in rows], "y": [row[1] for row in rows], "mode": "markers"}
    hover = {"hovertext": [row[2] for row in rows], "hoverinfo": "text"}
    return points | hover | {"marker": {"size": 9}, "meta": "accent", "name": "experiment"}


def _across(height: float, colour: str, dash: str) -> Figure:
    place = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": height, "y1": height}
    return place | {"name": colour, "line": {"width": 1, "dash": dash}}


def _over_experiments(
    data: list[Figure], title: str, experiments: Sequence[Experiment], shapes: list[Figure]
) -> Figure:
    last = max(experiment.number for experiment in experiments)
    x = {"title": {"text": "experiment"}, "range": [-0.5, last + 0.5], "dtick": max(1, last // 10)}
    return _figure(data, xaxis=x, yaxis={"title": {"text": title}}, shapes=shapes)


def curve_figures(campaign: Campaign, top: Standing | None) -> dict[str, Figure]:
    """Draw the smoothed training loss of each task, the best design against the baseline.

    It is the moving average that early stopping goes by.
    """
    runs: list[tuple[str, str, Sequence[CurvePoint]]] = []
    if campaign.baseline:
        runs.append((campaign.baseline.name, "quiet", campaign.baseline.curve))
    if top and top.experiment.outcome:
        runs.append((f"{top.experiment.number} {top.name}", "accent", top.experiment.outcome.curve))
    tasks = dict.fromkeys(point.task for _, _, curve in runs for point in curve)
    return {f"curve-{task}": _curve_figure(task, runs) for task in tasks}


def _curve_figure(task: str, runs: Sequence[tuple[str, str, Sequence[CurvePoint]]]) -> Figure:
    data = []
    for name, colour, curve in runs:
        points = [point for point in curve if point.task == task]
        means = smoothed([point.loss for point in points], window_of(RULE, len(points)))
        line = {"x": [point.step for point in points], "y": means.tolist()}
        data.append(line | {"mode": "lines", "name": html.escape(name), "meta": colour})
    x, y = (
        {"title": {"text": "step"}},
        {"title": {"text": f"training loss, {html.escape(task)}, smoothed"}},
    )
    return _figure(data, xaxis=x, yaxis=y, showlegend=True)


def cost_figure(spent: Sequence[Spent]) -> Figure:
    """Stack the seconds of each experiment by what they were spent on."""
    colours = dict(zip(PARTS, ("accent-2", "accent", "accent-3", "quiet"), strict=True))
    numbers = [row.number for row in spent]
    data = [
        {"type": "bar", "x": numbers, "y": [getattr(row, part) for row in spent], "name": part}
        | {"meta": colour}
        for part, colour in colours.items()
    ]
    x = {"title": {"text": "experiment"}, "dtick": max(1, len(spent) // 10)}
    y = {"title": {"text": "seconds"}}
    return _figure(data, 280, barmode="stack", xaxis=x, yaxis=y, showlegend=True)


def _figure(data: list[Figure], height: int = 320, **layout: Any) -> Figure:  # noqa: ANN401
    """Return one figure; `meta` of a trace and `name` of a shape name a colour of the page."""
    typed = [{"type": "scatter"} | trace for trace in data if trace["x"]]
    return {"data": typed, "layout": {"height": height, "showlegend": False, **layout}}
