"""The judge: marks a measured candidate."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel

from move37.agents.briefs import JudgeBrief
from move37.agents.run import run_agent
from move37.records import Rubric, TokenUse

CALLS = 4


def judge(brief: JudgeBrief, model: BaseChatModel) -> tuple[Rubric, TokenUse]:
    """Return the marks of a measured candidate.

    Raises:
        Weather: no answer could be had.
        UserError: the provider refuses.
    """
    return run_agent(model, brief, Rubric, calls=CALLS)
