"""The researcher: designs one candidate from its parent, the record and the literature."""

from __future__ import annotations

from collections.abc import Callable
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

Asked = ParamSpec("Asked")
Found = TypeVar("Found", Cognition, Lesson)


class Design(BaseModel):
    """The design that is proposed. Its code is what the candidate's file holds."""

    name: str = Field(min_length=1, max_length=80, description="short name of the design")
    motivation: str = Field(
        min_length=1, max_length=8000, description="what was changed and why it should help"
    )
    hypothesis: str = Field(
        min_length=1, max_length=4000, description="what should be seen in the measurements"
    )
    expected_gain: Finite = Field(
        description="expected fall of held-out loss against the parent, nats per token"
    )
    mechanisms: tuple[str, ...] = Field(default=(), description="mechanism tags of the design")
    cognition_ids: tuple[str, ...] = Field(
        default=(), description="ids of the cognition that the design rests on"
    )
    lesson_ids: tuple[str, ...] = Field(
        default=(), description="ids of the lessons of this campaign that the design rests on"
    )


def propose(
    brief: ResearchBrief, bench: Workbench, model: BaseChatModel
) -> tuple[Proposal, TokenUse]:
    """Return a proposal whose code is what the agent left in the candidate's file.

    Raises:
        Weather: no answer could be had, or the parent's code was left as it was.
        UserError: the provider refuses.
    """
    parent = brief.selection.parent.code
    told = [*(c.id for c in brief.cognition), *(lesson.id for lesson in brief.lessons)]
    shown = dict.fromkeys(told)
    papers, lessons = _remembering(bench.search, shown), _remembering(bench.recall, shown)
    bench = replace(bench, search=papers, recall=lessons)
    put_code(bench.path, parent)
    tools = [*knowledge_tools(bench), *code_tools(bench)]
    design, use = run_agent(model, brief, Design, tools, CALLS)
    code = take_code(bench.path)
    if code.strip() == parent.strip():
        raise Weather("the researcher answered without changing the parent's code")
    proposal = Proposal(
        name=design.name,
        motivation=design.motivation,
        hypothesis=design.hypothesis,
        expected_gain=design.expected_gain,
        mechanisms=tuple(tag for tag in dict.fromkeys(design.mechanisms) if tag in MECHANISMS),
        code=code,
        # A model may invent an id; only what it was shown counts.
        cognition_ids=tuple(i for i in dict.fromkeys(design.cognition_ids) if i in shown),
        lesson_ids=tuple(i for i in dict.fromkeys(design.lesson_ids) if i in shown),
        shown=tuple(shown),
    )
    return proposal, use


def _remembering(
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
