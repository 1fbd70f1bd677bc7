"""The engineer: mends the code of a candidate that could not be measured."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, Field

from move37.agents.briefs import EngineerBrief
from move37.agents.run import run_agent
from move37.memory.vocabulary import MECHANISMS
from move37.records import Proposal, TokenUse
from move37.tools.code import code_tools, put_code, take_code
from move37.tools.training import training_tools
from move37.tools.workbench import Workbench

CALLS = 20
_MOTIVATION_LIMIT = 8000


class Repair(BaseModel):
    """What was wrong and what was changed. The code is what the candidate's file holds."""

    cause: str = Field(min_length=1, max_length=1000, description="cause of the failure")
    change: str = Field(min_length=1, max_length=1000, description="what was changed")
    mechanisms: tuple[str, ...] = Field(
        default=(), description="mechanism tags of the design after the repair; empty: as before"
    )


def revise(
    brief: EngineerBrief, bench: Workbench, model: BaseChatModel
) -> tuple[Proposal, TokenUse]:
    """Return the proposal with its code revised; the same code where nothing could be mended.

    Raises:
        Weather: no answer could be had.
        UserError: the provider refuses.
    """
    put_code(bench.path, brief.proposal.code)
    tools = [*code_tools(bench), *training_tools(bench, brief.failed)]
    repair, use = run_agent(model, brief, Repair, tools, CALLS)
    tags = tuple(tag for tag in dict.fromkeys(repair.mechanisms) if tag in MECHANISMS)
    revised = brief.proposal.model_copy(
        update={
            "code": take_code(bench.path),
            "motivation": _motivation(brief, repair),
            "mechanisms": tags or brief.proposal.mechanisms,
            "revision": brief.proposal.revision + 1,
        }
    )
    return revised, use


def _motivation(brief: EngineerBrief, repair: Repair) -> str:
    """Return the motivation with the repair added; the idea is cut before the repair is."""
    told = f"\n\nRepair {brief.round}: {repair.cause} {repair.change}"
    return brief.proposal.motivation[: _MOTIVATION_LIMIT - len(told)] + told
