"""The state of one experiment: values and numbers only, one writer for each key.

Tensors, messages, logs and clients never enter it, so a checkpoint stays small.
"""

from __future__ import annotations

import operator
from typing import Annotated

from pydantic import Field

# Of the standard form pydantic makes no schema on Python 3.11, and Studio would show no fields.
from typing_extensions import TypedDict

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
    """The input of the graph, all of which may be left out."""

    number: Annotated[int, Field(description="Which experiment (from 1); left out: the next one.")]
    approve: Annotated[bool, Field(description="Ask for a yes before the training.")]


class State(Start, total=False):
    """What is known so far; every key is written by the node that is named beside it."""

    headline: str  # every node, in build: what came of the last one, in a line
    started: float  # select: seconds since the epoch
    selection: Selection  # select
    proposal: Proposal  # researcher, engineer
    idea: str  # engineer: the code of the proposal before the first revision
    novelty: Novelty  # novelty
    refused: Annotated[list[str], operator.add]  # novelty: why earlier ideas were sent back
    forecast: Forecast  # novelty, of what is new; missing where the judge could not be had
    outcome: Measured | Failed  # evaluate
    mended: bool  # engineer: whether the last revision changed the code
    revisions: Annotated[list[str], operator.add]  # engineer: what each revision was asked for
    judgement: Judgement  # judge
    analysis: Analysis  # analyst
    usage: Annotated[list[TokenUse], operator.add]  # every node that called a model
    problem: str  # any agent that could not be had: which one, and why
    archived: str  # archive: id of the experiment
