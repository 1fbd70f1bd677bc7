"""Tools that look up papers, earlier experiments and templates."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from langchain_core.tools import BaseTool, ToolException, tool

from move37.memory.vocabulary import FAMILIES
from move37.records import Cognition, Experiment, Lesson, Measured
from move37.tools.fencing import fence, one_line
from move37.tools.showing import code_block, show_experiment
from move37.tools.workbench import Workbench

MOST_HITS = 8
DIFF_LIMIT = 8000


def show_cognition(items: Sequence[Cognition]) -> str:
    """Return lessons of papers, one block each, as data that a paper's author wrote."""
    if not items:
        return "nothing found"
    blocks = []
    for item in items:
        text = f"{one_line(item.title, 160)}\nWhen: {item.scenario}\nHow: {item.algorithm}"
        text += f"\nContext: {item.context}"
        if item.try_with:
            text += f"\nTry with: {', '.join(item.try_with)}"
        tags = ", ".join(item.mechanisms) or "none"
        head = f"[{item.id}] a paper of {item.year}; mechanisms: {tags}"
        blocks.append(f"{head}\n{fence(text, 'paper')}")
    return "\n\n".join(blocks)


def show_lessons(lessons: Sequence[Lesson]) -> str:
    """Return lessons of this campaign, one line each, with what later experiments said of them."""
    lines = [
        f"[{one.id}] experiment {one.experiment} ({', '.join(one.changed) or 'no tag changed'}: "
        f"{one.effect}), {len(one.supports)} later for it, {len(one.contradicts)} against: "
        f"{one_line(one.text, 600)}"
        for one in lessons
    ]
    return fence("\n".join(lines), "lessons") if lines else "none"


def show_comparison(first: Experiment, second: Experiment) -> str:
    """Return fitness and losses side by side, and how the code of the second differs."""
    lines = [f"| | {first.number} | {second.number} |", "|---|---|---|"]
    lines.append(f"| status | {first.status} | {second.status} |")
    lines.append(f"| fitness | {_figure(first.fitness)} | {_figure(second.fitness)} |")
    tables = [_losses(first), _losses(second)]
    for task in dict.fromkeys((*tables[0], *tables[1])):
        left, right = (_figure(table.get(task)) for table in tables)
        lines.append(f"| held-out loss, {task} | {left} | {right} |")
    codes = [e.proposal.code.splitlines() if e.proposal else [] for e in (first, second)]
    names = (f"experiment {first.number}", f"experiment {second.number}")
    diff = "\n".join(difflib.unified_diff(codes[0], codes[1], *names, lineterm="", n=2))
    return "\n".join([*lines, "", fence(diff or "the same code", "diff", DIFF_LIMIT)])


def _losses(experiment: Experiment) -> dict[str, float]:
    """Return the held-out losses of an experiment; none where it was not measured."""
    outcome = experiment.outcome
    return outcome.losses() if isinstance(outcome, Measured) else {}


def _figure(value: float | None) -> str:
    """Return a figure with four decimals, or that there is none."""
    return "not measured" if value is None else f"{value:.4f}"


def _needed(bench: Workbench, number: int) -> Experiment:
    """Return the experiment with this number.

    Raises:
        ToolException: there is none.
    """
    if number == 0:
        raise ToolException("number 0 is the root template; read_template shows it")
    experiment = bench.experiment(number)
    if experiment is None:
        raise ToolException(f"there is no experiment {number} that you may see")
    return experiment


def knowledge_tools(bench: Workbench) -> list[BaseTool]:
    """Return the tools that read what is known."""

    @tool
    def read_experiment(number: int) -> str:
        """Return idea, result, analysis and code of an earlier experiment of this campaign."""
        return show_experiment(_needed(bench, number))

    @tool
    def compare_experiments(first: int, second: int) -> str:
        """Compare two earlier experiments: results side by side, and the difference in code."""
        return show_comparison(_needed(bench, first), _needed(bench, second))

    @tool
    def read_template(name: str) -> str:
        """Return the code of a hand-written mixer, for instance delta_net or gated_delta_net."""
        try:
            return code_block(bench.template(name))
        except ValueError as error:
            raise ToolException(f"no template {one_line(name, 60)!r}: {error}") from None

    return [*_searches(bench), read_experiment, compare_experiments, read_template]


def _searches(bench: Workbench) -> list[BaseTool]:
    """Return the searches that this campaign has."""
    search, recall = bench.search, bench.recall

    @tool(response_format="content_and_artifact")
    def search_cognition(
        query: str, k: int = 4, families: tuple[str, ...] = (), since: int | None = None
    ) -> tuple[str, list[dict[str, object]]]:
        """Search the lessons of published papers for a situation or a problem.

        families and since (a year) narrow it down; leave them out to search all papers.
        """
        assert search is not None
        unknown = [family for family in families if family not in FAMILIES]
        if unknown:
            known = ", ".join(FAMILIES)
            raise ToolException(f"no family {one_line(unknown[0], 60)!r}; there are {known}")
        found = search(_question(query), min(max(k, 1), MOST_HITS), families, since)
        return show_cognition(found), [item.model_dump(mode="json") for item in found]

    @tool(response_format="content_and_artifact")
    def search_lessons(query: str, k: int = 4) -> tuple[str, list[dict[str, object]]]:
        """Search what earlier experiments of this campaign taught."""
        assert recall is not None
        found = recall(_question(query), min(max(k, 1), MOST_HITS))
        return show_lessons(found), [item.model_dump(mode="json") for item in found]

    return [*([search_cognition] if search else []), *([search_lessons] if recall else [])]


def _question(query: str) -> str:
    """Return a query on one line.

    Raises:
        ToolException: it is empty.
    """
    if not query.strip():
        raise ToolException("the query is empty; describe the problem in a sentence")
    return one_line(query, 1000)
