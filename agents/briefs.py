"""What each role is told: frozen values that are rendered as text and carried as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from move37.memory.accounts import Account
from move37.memory.plateau import Plateau
from move37.records import (
    Baseline,
    Candidate,
    Cognition,
    Effect,
    Estimate,
    Failed,
    Judgement,
    Lesson,
    Measured,
    Noise,
    Outcome,
    Proposal,
    Selection,
    Value,
    content_id,
)


class ResearchBrief(Value):
    """What a researcher knows before it designs.

    `payoffs` maps a mechanism to how well designs with it have done in this campaign; only the
    order and the ratios matter. `refused` are the reasons why earlier attempts at this very
    experiment were sent back as repeats. `accounts` are the records of those selected but for the
    root, and `summaries` say in fresh words, by number, what came of them.
    """

    seed: int
    number: int
    attempt: int
    selection: Selection
    cognition: tuple[Cognition, ...] = ()
    payoffs: dict[str, float] = Field(default_factory=dict)
    lessons: tuple[Lesson, ...] = ()
    failures: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    accounts: tuple[Account, ...] = ()
    summaries: dict[int, str] = Field(default_factory=dict)
    plateau: Plateau | None = None
    tier: str
    noise: dict[str, Noise]


class SummaryBrief(Value):
    """Earlier designs that a researcher is about to be shown, without their code."""

    number: int
    attempt: int
    candidates: tuple[Candidate, ...]
    accounts: tuple[Account, ...]
    noise: dict[str, Noise]


class EngineerBrief(Value):
    """A proposal that failed, and how; `round` counts the repairs of it from 1.

    `parent` is the code that it was made from and `idea` its own before the first repair: what a
    repair has to keep is read off these two.
    """

    seed: int
    number: int
    round: int
    proposal: Proposal
    failed: Failed
    parent: str
    idea: str


class ForecastBrief(Value):
    """A design before its training; no result of it is known.

    `believed` is the true text loss of the parent as it is believed, `prior` that of its child by
    descent alone. `changed` are the mechanisms added and removed (`+tag`, `-tag`), and `gains` maps
    each such change to what earlier children that made it gained, in nats. `scoring` counts the
    times that the same judge is asked, from 0: the order of the evidence turns with it.
    """

    seed: int
    number: int
    scoring: int
    proposal: Proposal
    parent: Candidate
    believed: Estimate
    prior: Estimate
    changed: tuple[str, ...] = ()
    gains: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    tier: str
    noise: Noise


class JudgeBrief(Value):
    """A measured candidate beside the baseline and its parent.

    `scoring` counts the times that the same judge is asked, as in `ForecastBrief`.
    """

    seed: int
    number: int
    scoring: int = 0
    proposal: Proposal
    measured: Measured
    baseline: Baseline
    parent: Candidate


class AnalystBrief(Value):
    """A finished candidate, whatever came of it, beside its parent and siblings.

    `changed` and `effect` are what the record says of it, as in `Lesson`; `lessons` are earlier
    ones that it may support or contradict.
    """

    number: int = 0
    proposal: Proposal
    outcome: Outcome
    judgement: Judgement | None
    parent: Candidate
    siblings: tuple[Candidate, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    changed: tuple[str, ...] = ()
    effect: Effect = "unclear"
    noise: dict[str, Noise]


class ReaderBrief(Value):
    """A text that a user wants in the cognition base, and the facts that are known of it."""

    name: str
    facts: dict[str, str | int]
    text: str


class AblationBrief(Value):
    """A measured design and the mechanism to take out of it; `root` is the template's code."""

    proposal: Proposal
    mechanism: str
    root: str


Brief = (
    ResearchBrief
    | SummaryBrief
    | EngineerBrief
    | ForecastBrief
    | JudgeBrief
    | AnalystBrief
    | ReaderBrief
    | AblationBrief
)


class Slot(Value):
    """Which conversation this is: one role's turn in one experiment (0: outside of any)."""

    experiment: int
    role: str
    turn: str = "0"

    @property
    def key(self) -> str:
        """The slot as one word, the same at every repetition of the experiment."""
        return f"{self.experiment}/{self.role}/{self.turn}"


_TURNS: dict[type[Value], tuple[str, Callable[[Any], object]]] = {
    ResearchBrief: ("researcher", lambda brief: brief.attempt),
    SummaryBrief: ("summarizer", lambda brief: brief.attempt),
    EngineerBrief: ("engineer", lambda brief: brief.round),
    ForecastBrief: ("forecaster", lambda brief: brief.scoring),
    JudgeBrief: ("judge", lambda brief: brief.scoring),
    AnalystBrief: ("analyst", lambda _: 0),
    ReaderBrief: ("reader", lambda brief: content_id(brief.name, brief.text)),
    AblationBrief: ("ablation", lambda brief: content_id(brief.mechanism, brief.proposal.code)),
}


def slot_of(brief: Brief) -> Slot:
    """Return the conversation that a brief begins."""
    role, turn = _TURNS[type(brief)]
    number = getattr(brief, "number", 0)
    return Slot(experiment=number, role=role, turn=str(turn(brief)))
