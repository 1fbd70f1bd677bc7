"""The judge: predicts what a design will gain, and marks it once it was measured."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from langchain_core.language_models import BaseChatModel

from move37.agents.briefs import ForecastBrief, JudgeBrief
from move37.agents.run import run_agent
from move37.records import Forecast, Prediction, Rubric, TokenUse, Weather

CALLS = 4
# Twice tells how far a judge agrees with itself; more would cost more than it tells.
SCORINGS = 2
_REASON_LIMIT = 4000


def mark(brief: JudgeBrief, model: BaseChatModel) -> tuple[tuple[Rubric, ...], list[TokenUse]]:
    """Return the marks of a measured candidate, asked anew for each scoring.

    A scoring that cannot be had is left out while there is another one.

    Raises:
        Weather: none of the answers could be had.
        UserError: the provider refuses.
    """
    found: list[Rubric] = []
    uses: list[TokenUse] = []
    trouble = ""
    for scoring in range(SCORINGS):
        try:
            rubric, use = judge(brief.model_copy(update={"scoring": scoring}), model)
        except Weather as weather:
            trouble = str(weather)
            uses += weather.use
        else:
            found.append(rubric)
            uses.append(use)
    if not found:
        raise Weather(trouble, tuple(uses))
    return tuple(found), uses


def judge(brief: JudgeBrief, model: BaseChatModel) -> tuple[Rubric, TokenUse]:
    """Return the marks of one scoring.

    Raises:
        Weather: no answer could be had.
        UserError: the provider refuses.
    """
    return run_agent(model, brief, Rubric, calls=CALLS)


def mean_of(scorings: Sequence[Rubric]) -> Rubric:
    """Return the mean of each mark over the scorings that give it, and all reasons once."""
    given = [one.marks for one in scorings]
    means = {
        name: fmean(marks[name] for marks in given if name in marks)
        for name in dict.fromkeys(name for marks in given for name in marks)
    }
    reasons = "\n".join(dict.fromkeys(one.reason for one in scorings))
    return Rubric.model_validate({**means, "reason": reasons[:_REASON_LIMIT]})


def forecast(brief: ForecastBrief, model: BaseChatModel) -> tuple[Forecast, list[TokenUse]]:
    """Return what the judge expects before the training, asked anew for each scoring.

    Raises:
        Weather: not all answers could be had.
        UserError: the provider refuses.
    """
    found: list[Prediction] = []
    uses: list[TokenUse] = []
    for scoring in range(SCORINGS):
        asked = brief.model_copy(update={"scoring": scoring})
        try:
            prediction, use = run_agent(model, asked, Prediction, calls=CALLS)
        except Weather as weather:
            raise Weather(str(weather), (*uses, *weather.use)) from weather
        found.append(prediction)
        uses.append(use)
    return Forecast(parent=brief.believed, scorings=tuple(found)), uses
