"""The engineer once more: a design without one of its mechanisms, to see what that was worth."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, Field

from move37.agents.briefs import AblationBrief
from move37.agents.run import run_agent
from move37.records import TokenUse
from move37.tools.code import code_tools, put_code, take_code
from move37.tools.workbench import Workbench

CALLS = 20


class Ablation(BaseModel):
    """What was taken out. The variant's code is what the candidate's file holds."""

    change: str = Field(min_length=1, max_length=1000, description="what was taken out, and how")


def take_out(
    brief: AblationBrief, bench: Workbench, model: BaseChatModel
) -> tuple[str, str, TokenUse]:
    """Return the code that the agent left in the file, and its words on it.

    Whether that is another program, and whether it passes the gates, is for the caller to see.

    Raises:
        Weather: no answer could be had.
        UserError: the provider refuses.
    """
    put_code(bench.path, brief.proposal.code)
    answer, use = run_agent(model, brief, Ablation, code_tools(bench), CALLS)
    return take_code(bench.path), answer.change, use
