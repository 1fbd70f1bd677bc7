"""The state of one experiment: values and numbers only, one writer for each key.

Tensors, messages, logs and clients never enter it, so a checkpoint stays small.
"""

from __future__ import annotations

import operator
from typing import Annotated, TypedDict

from move37.records import (
    Analysis,
    Failed,
    Forecast,
    Judgement,
    Measured,
    Novelty,
    Proposal,
    Selection,
    TokenUse,
)


class Start(TypedDict, total=False):
    """The input of the graph: which experiment of the campaign this is (from 1)."""

    number: int


class State(Start, total=False):
    """What is known so far; every key is written by the node that is named beside it."""

    started: float  # select: seconds since the epoch
    selection: Selection  # select
    proposal: Proposal  # researcher, engineer
    novelty: Novelty  # novelty
    refused: Annotated[list[str], operator.add]  # novelty: why earlier ideas were sent back
    forecast: Forecast  # novelty, of what is new; missing where the judge could not be had
    outcome: Measured | Failed  # evaluate
    revisions: Annotated[list[str], operator.add]  # engineer: what each revision was asked for
    judgement: Judgement  # judge
    analysis: Analysis  # analyst
    usage: Annotated[list[TokenUse], operator.add]  # every node that called a model
    problem: str  # any agent that could not be had: which one, and why
    archived: str  # archive: id of the experiment
