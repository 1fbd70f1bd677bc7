"""The engineer: mends the code of a candidate that could not be measured, and keeps its idea."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, Field

from move37.agents.briefs import EngineerBrief
from move37.agents.checks.keeping import objection
from move37.agents.run import run_agent
from move37.memory.vocabulary import MECHANISMS
from move37.records import Proposal, TokenUse
from move37.tools.code import code_tools, put_code, take_code
from move37.tools.training import training_tools
from move37.tools.workbench import Workbench

CALLS = 20
_MOTIVATION_LIMIT = 8000
_SENT_BACK = (
    "Not accepted: {}. Code that does not reach y counts as gone. Mend the cause in another way "
    "with the mechanism in place; where that is impossible, put the code back as it was and say "
    "why. Then answer again: a revision without the idea is not evaluated."
)


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

    A revision that takes the idea out goes back once (`move37.agents.checks.keeping`). The second
    one that does so is dropped, and the motivation says why.

    Raises:
        Weather: no answer could be had.
        UserError: the provider refuses.
    """
    put_code(bench.path, brief.proposal.code)
    tools = [*code_tools(bench), *training_tools(bench, brief.failed)]

    def wrong() -> str | None:
        return objection(brief.parent, brief.idea, take_code(bench.path))

    def review(*_: object) -> str | None:
        why = wrong()
        return None if why is None else _SENT_BACK.format(why)

    repair, use = run_agent(model, brief, Repair, tools, CALLS, review)
    why = wrong()
    kept = _repaired(brief, repair, take_code(bench.path)) if why is None else _refused(brief, why)
    return brief.proposal.model_copy(update={**kept, "revision": brief.proposal.revision + 1}), use


def _repaired(brief: EngineerBrief, repair: Repair, code: str) -> dict[str, object]:
    tags = tuple(tag for tag in dict.fromkeys(repair.mechanisms) if tag in MECHANISMS)
    return {
        "code": code,
        "motivation": _motivation(brief, f"{repair.cause} {repair.change}"),
        "mechanisms": tags or brief.proposal.mechanisms,
    }


def _refused(brief: EngineerBrief, why: str) -> dict[str, object]:
    return {"motivation": _motivation(brief, f"not accepted, as {why}.")}


def _motivation(brief: EngineerBrief, what: str) -> str:
    """Return the motivation with the repair added; the idea is cut before the repair is."""
    told = f"\n\nRepair {brief.round}: {what}"
    return brief.proposal.motivation[: _MOTIVATION_LIMIT - len(told)] + told
