"""What each role is told: frozen values that are rendered as text and carried as data."""

from __future__ import annotations

from pydantic import Field

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
)


class ResearchBrief(Value):
    """What a researcher knows before it designs.

    `payoffs` maps a mechanism to how well designs with it have done in this campaign; only the
    order and the ratios matter. `refused` are the reasons why earlier attempts at this very
    experiment were sent back as repeats.
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
    tier: str
    noise: dict[str, Noise]


class EngineerBrief(Value):
    """A proposal that failed, and how; `round` counts the repairs of it from 1."""

    seed: int
    number: int
    round: int
    proposal: Proposal
    failed: Failed


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
    """A measured candidate beside the baseline and its parent."""

    seed: int
    number: int
    proposal: Proposal
    measured: Measured
    baseline: Baseline
    parent: Candidate


class AnalystBrief(Value):
    """A finished candidate, whatever came of it, beside its parent and siblings.

    `changed` and `effect` are what the record says of it, as in `Lesson`; `lessons` are earlier
    ones that it may support or contradict.
    """

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
    | EngineerBrief
    | ForecastBrief
    | JudgeBrief
    | AnalystBrief
    | ReaderBrief
    | AblationBrief
)
