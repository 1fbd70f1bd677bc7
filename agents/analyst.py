"""The analyst: says what an experiment taught."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel

from move37.agents.briefs import AnalystBrief
from move37.agents.run import run_agent
from move37.records import Analysis, TokenUse
from move37.tools.knowledge import knowledge_tools
from move37.tools.workbench import Workbench

CALLS = 10


def analyse(
    brief: AnalystBrief, model: BaseChatModel, bench: Workbench
) -> tuple[Analysis, TokenUse]:
    """Return what the experiment taught and what to look up next.

    Raises:
        Weather: no answer could be had.
        UserError: the provider refuses.
    """
    analysis, use = run_agent(model, brief, Analysis, knowledge_tools(bench), CALLS)
    # A model may invent an id; only what it was shown counts.
    known = {lesson.id for lesson in brief.lessons}
    marks = {
        side: tuple(i for i in dict.fromkeys(getattr(analysis, side)) if i in known)
        for side in ("supports", "contradicts")
    }
    # Who says both says neither.
    both = set(marks["supports"]) & set(marks["contradicts"])
    kept = {side: tuple(i for i in ids if i not in both) for side, ids in marks.items()}
    return analysis.model_copy(update=kept), use
