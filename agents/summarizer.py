"""The summarizer: tells afresh, before each design, what came of the designs that it is shown.

The reference system (ASI-Arch, arXiv 2507.18074) found that summaries made anew at each step keep
designs diverse; the words of an earlier author are repeated otherwise.
"""

from __future__ import annotations

import structlog
from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, Field

from move37.agents.briefs import ResearchBrief, SummaryBrief
from move37.agents.run import run_agent
from move37.records import TokenUse, Weather

CALLS = 4
WORDS = 120
# Longer answers are no summaries: twice so many words of ordinary length.
LIMIT = 2 * WORDS * 7


class Summary(BaseModel):
    """What one design was and what came of it."""

    number: int = Field(description="number of the design")
    text: str = Field(min_length=1, max_length=LIMIT, description=f"at most {WORDS} words")


class Summaries(BaseModel):
    """One summary for each design that was shown."""

    summaries: tuple[Summary, ...]


def summarised(
    brief: ResearchBrief, model: BaseChatModel
) -> tuple[ResearchBrief, tuple[TokenUse, ...]]:
    """Return a brief with a fresh summary of its parent and of each reference, and the cost.

    The root needs none. Where no summary can be had, the words of the record stand for it.

    Raises:
        UserError: the provider refuses.
    """
    shown = (brief.selection.parent, *brief.selection.references)
    earlier = tuple(one.model_copy(update={"code": ""}) for one in shown if one.number)
    if not earlier:
        return brief, ()
    asked = SummaryBrief(
        number=brief.number,
        attempt=brief.attempt,
        candidates=earlier,
        accounts=tuple(one.model_copy(update={"parent_code": ""}) for one in brief.accounts),
        noise=brief.noise,
    )
    try:
        answer, use = run_agent(model, asked, Summaries, calls=CALLS)
    except Weather as weather:
        structlog.get_logger().warning("summaries_missing", reason=str(weather))
        return brief, weather.use
    wanted = {one.number for one in earlier}
    found = {one.number: _cut(one.text) for one in answer.summaries if one.number in wanted}
    if missing := sorted(wanted - found.keys()):
        structlog.get_logger().warning("summaries_missing", numbers=missing)
    return brief.model_copy(update={"summaries": found}), (use,)


def _cut(text: str) -> str:
    words = text.split()
    return text if len(words) <= WORDS else f"{' '.join(words[:WORDS])} ..."
