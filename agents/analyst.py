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
    return run_agent(model, brief, Analysis, knowledge_tools(bench), CALLS)
