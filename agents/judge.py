"""The judge: predicts what a design will gain, and marks it once it was measured."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel

from move37.agents.briefs import ForecastBrief, JudgeBrief
from move37.agents.run import run_agent
from move37.records import Forecast, Prediction, Rubric, TokenUse

CALLS = 4
# Twice tells how far a judge agrees with itself; more would cost more than it tells.
SCORINGS = 2


def judge(brief: JudgeBrief, model: BaseChatModel) -> tuple[Rubric, TokenUse]:
    """Return the marks of a measured candidate.

    Raises:
        Weather: no answer could be had.
        UserError: the provider refuses.
    """
    return run_agent(model, brief, Rubric, calls=CALLS)


def forecast(brief: ForecastBrief, model: BaseChatModel) -> tuple[Forecast, list[TokenUse]]:
    """Return what the judge expects before the training, asked anew for each scoring.

    Raises:
        Weather: not all answers could be had.
        UserError: the provider refuses.
    """
    asked = (brief.model_copy(update={"scoring": scoring}) for scoring in range(SCORINGS))
    answers = [run_agent(model, one, Prediction, calls=CALLS) for one in asked]
    scorings = tuple(prediction for prediction, _ in answers)
    return Forecast(parent=brief.believed, scorings=scorings), [use for _, use in answers]
