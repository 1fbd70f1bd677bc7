"""The researcher: designs one candidate from its parent, the record and the literature."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ParamSpec, TypeVar

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, Field

from move37.agents.briefs import ResearchBrief
from move37.agents.run import run_agent
from move37.memory.vocabulary import MECHANISMS
from move37.records import Cognition, Finite, Lesson, Proposal, TokenUse, Weather
from move37.tools.code import code_tools, put_code, take_code
from move37.tools.knowledge import knowledge_tools
from move37.tools.workbench import Workbench

CALLS = 20
_UNCHANGED = (
    "The file still holds the parent's code. Write the design with write_code or edit_code, then "
    "answer again."
)
MOTIVATION_LIMIT = 8000

Asked = ParamSpec("Asked")
Found = TypeVar("Found", Cognition, Lesson)


class Design(BaseModel):
    """The design that is proposed. Its code is what the candidate's file holds."""

    name: str = Field(min_length=1, max_length=80, description="short name of the design")
    motivation: str = Field(
        min_length=1,
        max_length=MOTIVATION_LIMIT,
        description="the weakness and its evidence, the mechanism as a formula, why it should help",
    )
    hypothesis: str = Field(
        min_length=1,
        max_length=4000,
        description="which metric should move and by how much, and what would refute the idea",
    )
    expected_gain: Finite = Field(
        description="expected fall of held-out loss against the parent, nats per token"
    )
    risk: str = Field(
        default="", max_length=1000, description="what may make the design fail or cost too much"
    )
    mechanisms: tuple[str, ...] = Field(default=(), description="mechanism tags of the design")
    cognition_ids: tuple[str, ...] = Field(
        default=(), description="ids of the cognition that the design rests on"
    )
    lesson_ids: tuple[str, ...] = Field(
        default=(), description="ids of the lessons of this campaign that the design rests on"
    )


class Submission(Design):
    """A design with its code, from a researcher who is no agent of ours.

    `shown` are the ids that its author looked up beside those of the brief.
    """

    code: str = Field(min_length=1, max_length=65536, description="the whole file of the mixer")
    shown: tuple[str, ...] = ()


def propose(
    brief: ResearchBrief, bench: Workbench, model: BaseChatModel
) -> tuple[Proposal, TokenUse]:
    """Return a proposal whose code is what the agent left in the candidate's file.

    Raises:
        Weather: no answer could be had, or the parent's code was left as it was.
        UserError: the provider refuses.
    """
    parent = brief.selection.parent.code
    shown = dict.fromkeys(told_ids(brief))
    papers, lessons = remembering(bench.search, shown), remembering(bench.recall, shown)
    bench = replace(bench, search=papers, recall=lessons)
    put_code(bench.path, parent)
    tools = [*knowledge_tools(bench), *code_tools(bench)]

    def unchanged(*_: object) -> str | None:
        return _UNCHANGED if take_code(bench.path).strip() == parent.strip() else None

    design, use = run_agent(model, brief, Design, tools, CALLS, unchanged)
    if unchanged():
        raise Weather("the researcher answered without changing the parent's code", (use,))
    code = take_code(bench.path)
    return settled(design, code, shown), use


def told_ids(brief: ResearchBrief) -> tuple[str, ...]:
    """Return the ids of the cognition and of the lessons that a brief shows."""
    return (*(c.id for c in brief.cognition), *(lesson.id for lesson in brief.lessons))


def settled(design: Design, code: str, shown: Iterable[str]) -> Proposal:
    """Return a design and its code as a proposal; of its tags and ids, those that exist."""
    known = dict.fromkeys(shown)
    return Proposal(
        name=design.name,
        motivation=_motivation(design),
        hypothesis=design.hypothesis,
        expected_gain=design.expected_gain,
        mechanisms=tuple(tag for tag in dict.fromkeys(design.mechanisms) if tag in MECHANISMS),
        code=code,
        # A model may invent an id; only what it was shown counts.
        cognition_ids=tuple(i for i in dict.fromkeys(design.cognition_ids) if i in known),
        lesson_ids=tuple(i for i in dict.fromkeys(design.lesson_ids) if i in known),
        shown=tuple(known),
    )


def _motivation(design: Design) -> str:
    """Return the motivation with its risk; the idea is cut before the risk is."""
    told = f"\n\nRisk: {design.risk}" if design.risk.strip() else ""
    return design.motivation[: MOTIVATION_LIMIT - len(told)] + told


def remembering(
    search: Callable[Asked, tuple[Found, ...]] | None, shown: dict[str, None]
) -> Callable[Asked, tuple[Found, ...]] | None:
    """Return a search that adds the ids of what it returns to `shown`."""
    if search is None:
        return None

    def remembered(*args: Asked.args, **kwargs: Asked.kwargs) -> tuple[Found, ...]:
        found = search(*args, **kwargs)
        shown.update(dict.fromkeys(item.id for item in found))
        return found

    return remembered
