"""The vocabulary: every value that passes between the parts, each defined once.

All values are frozen pydantic types. A value has no slot for an absent number: what was not
measured is another type (`Failed` instead of `Measured`), never a zero or a default.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Value(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def content_id(*parts: object, length: int = 12) -> str:
    """Return a hexadecimal id that depends on nothing but the JSON form of `parts`."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def lot(*parts: object) -> float:
    """Return a number in [0, 1) that follows from `parts` alone: the same at every repetition."""
    return int(content_id(*parts, length=16), 16) / 16**16


# --- what is known -----------------------------------------------------------------------------


class Cognition(Value):
    """One lesson distilled from a paper; `scenario` and `seen_as` are what is searched.

    `try_with` names where it can be tried: `op:` and `template:` of ours, `fla:` of fla-core.
    """

    id: str
    paper_id: str
    title: str
    year: int
    family: str
    scenario: str
    algorithm: str
    context: str
    seen_as: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()
    try_with: tuple[str, ...] = ()


Effect = Literal["helped", "hurt", "failed", "unclear"]


class Lesson(Value):
    """One sentence that an analyst learned from an experiment, and what became of it since.

    `changed` are the mechanisms by which the experiment differs from its parent (`+tag` added,
    `-tag` removed) and `effect` is what they did to the loss, by more than the noise or `unclear`:
    both are read off the record. `supports` and `contradicts` are the later experiments whose
    analysts found so.
    """

    id: str
    text: str
    experiment: int
    mechanisms: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    effect: Effect = "unclear"
    supports: tuple[int, ...] = ()
    contradicts: tuple[int, ...] = ()

    @property
    def standing(self) -> float:
        """The share of experiments that speak for it, after one more of either kind (Laplace).

        Its own experiment counts for it, so a fresh lesson has 2/3; four that contradict it leave
        2/7.
        """
        for_it, against = 1 + len(self.supports), len(self.contradicts)
        return (for_it + 1) / (for_it + against + 2)


# --- select ------------------------------------------------------------------------------------


class Candidate(Value):
    """What a researcher is shown of an earlier experiment, or of the root template (number 0)."""

    number: int
    name: str
    motivation: str
    code: str
    fitness: Finite
    loss: Finite
    lessons: tuple[str, ...] = ()


class Selection(Value):
    """The parent to change, up to four references to learn from, and why these."""

    parent: Candidate
    references: tuple[Candidate, ...] = ()
    reason: str


# --- researcher --------------------------------------------------------------------------------


class Proposal(Value):
    """A design: its idea, the effect that is expected of it, and its code.

    `expected_gain` is the predicted fall of held-out loss against the parent in nats per token.
    `shown` are the ids of all cognition and lessons that its author was shown, in order; of these
    it says that it used `cognition_ids` and `lesson_ids`.
    """

    name: str = Field(min_length=1, max_length=80)
    motivation: str = Field(min_length=1, max_length=8000)
    hypothesis: str = Field(min_length=1, max_length=4000)
    expected_gain: Finite
    mechanisms: tuple[str, ...] = ()
    code: str = Field(min_length=1, max_length=65536)
    cognition_ids: tuple[str, ...] = ()
    lesson_ids: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    revision: int = 0


class Novelty(Value):
    """How near a proposal lies to what was tried: experiments, the nearest first.

    `nearest` is by motivation, cosines in [-1, 1]; `nearest_code` by structure, in [0, 1].
    """

    verdict: Literal["new", "repeat"]
    reason: str
    fingerprint: str
    nearest: tuple[tuple[int, Finite], ...] = ()
    nearest_code: tuple[tuple[int, Finite], ...] = ()


# --- predict -----------------------------------------------------------------------------------


class Prediction(Value):
    """What a judge expects of a design that it has not seen trained.

    `gain` is the fall of held-out loss on text against what is believed of the parent, `sd` how
    far from it the truth may lie (one standard deviation); both in nats per token.
    """

    gain: Finite
    sd: Finite = Field(gt=0)
    reason: str = Field(min_length=1, max_length=2000)


class Estimate(Value):
    """What is believed of a true held-out loss on text: mean and SD of a normal, nats per token."""

    mean: Finite
    sd: Finite = Field(ge=0)


class Forecast(Value):
    """Predictions of one design by one judge, each with the evidence in another order.

    `parent` is what was believed of the parent's loss then: the gains count from its mean.
    """

    parent: Estimate
    scorings: tuple[Prediction, ...] = Field(min_length=2)

    @property
    def gain(self) -> float:
        """The mean of the predicted gains."""
        return sum(one.gain for one in self.scorings) / len(self.scorings)


# --- evaluate ----------------------------------------------------------------------------------


class GateResult(Value):
    """One validity check: the figure that was measured, its limit, and what to mend.

    `figure` is None when the candidate raised before there was one. `detail` names the failing
    case (position, length, mode) or remarks on a pass; `advice` says what to mend.
    """

    id: str
    name: str
    passed: bool
    figure: Finite | None
    threshold: Finite
    detail: str = ""
    advice: str = ""

    @property
    def told(self) -> str:
        """The figure as text."""
        return "raised" if self.figure is None else f"{self.figure:.2g}"


class GateReport(Value):
    """All gates that were run on one candidate, in order; it passes when each did."""

    gates: tuple[GateResult, ...]
    seconds: Finite

    @property
    def passed(self) -> bool:
        """Whether every gate that was run passed."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)


class CurvePoint(Value):
    """Training telemetry of one step: loss in nats per token; told by the candidate's process."""

    task: str
    step: int
    loss: Finite
    seconds: Finite


class TaskScore(Value):
    """Held-out result of one task at one seed, computed by the trusted process from logits.

    `loss` is in nats per scored token.
    """

    task: str
    seed: int
    loss: Finite
    tokens: int


class Cost(Value):
    """What an evaluation used. Seconds are wall-clock; `cpu_seconds` are of the boxes.

    `step_seconds` is the CPU time of one training step for each task.
    """

    gate_seconds: Finite = 0.0
    train_seconds: Finite = 0.0
    score_seconds: Finite = 0.0
    cpu_seconds: Finite = 0.0
    peak_bytes: int = 0
    step_seconds: dict[str, Finite] = Field(default_factory=dict)


class Provenance(Value):
    """Hashes that make a number repeatable, and the isolation under which it was measured."""

    evaluator: str
    data: str
    tier: str
    torch: str
    machine: str
    isolation: str


class Size(Value):
    """Deterministic counts of the trained model.

    Operations and state, in bytes for one sequence, are those of a layer: the mean of all.
    """

    parameters: int
    mixer_parameters: int
    flops_per_token: Finite
    state_bytes: int


Form = Literal["triton", "chunked"]


class Spared(Value):
    """A run that the lot kept from being stopped early; why it would have been, or nothing."""

    reason: str = ""


class Runtime(Value):
    """What a training ran on; its box tells it, so it is a claim.

    `remark` says why a run on CUDA was not compiled or not in bfloat16.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    compiled: bool = False
    remark: str = Field(default="", max_length=500)


class Measured(Value):
    """A candidate that passed its gates, was trained and scored, and passed the audit after it.

    `audit` holds the checks that were asked again of the trained weights. `forms` maps an op to
    the form in which it trained, `triton` or `chunked`; the box tells it, so it is a claim, and
    so is `runtime`.
    """

    kind: Literal["measured"] = "measured"
    gates: GateReport
    audit: GateReport
    scores: tuple[TaskScore, ...]
    curve: tuple[CurvePoint, ...]
    size: Size
    cost: Cost
    provenance: Provenance
    forms: dict[str, Form] = Field(default_factory=dict)
    spared: Spared | None = None
    runtime: Runtime = Runtime()

    def loss(self, task: str = "text") -> float:
        """Return the mean held-out loss of one task over its seeds."""
        values = [score.loss for score in self.scores if score.task == task]
        if not values:
            raise KeyError(f"no score of task {task!r}")
        return sum(values) / len(values)

    def losses(self) -> dict[str, float]:
        """Return the mean held-out loss of each task."""
        return {task: self.loss(task) for task in dict.fromkeys(s.task for s in self.scores)}


Stage = Literal["policy", "gate", "train", "timeout", "memory", "pruned", "audit"]


class Failed(Value):
    """A candidate that could not be measured. `log` is untrusted text from its process.

    `pruned` is no fault: the run lagged behind earlier ones and was stopped early.
    """

    kind: Literal["failed"] = "failed"
    stage: Stage
    reason: str
    log: str = ""
    gates: GateReport | None = None
    curve: tuple[CurvePoint, ...] = ()
    cost: Cost = Cost()


Outcome = Annotated[Measured | Failed, Field(discriminator="kind")]


class Noise(Value):
    """Mean and standard deviation of one metric of the baseline over seeds."""

    mean: Finite
    sd: Finite
    seeds: int


class Baseline(Value):
    """The root template at a tier on this machine: the noise floor everything is held against.

    It keeps its own code, so that an old campaign is not compared with a newer template.
    """

    name: str
    code: str
    tier: str
    noise: dict[str, Noise]
    size: Size
    step_seconds: dict[str, Finite]
    curve: tuple[CurvePoint, ...]
    scores: tuple[TaskScore, ...]
    provenance: Provenance


# --- judge -------------------------------------------------------------------------------------


class Rubric(Value):
    """The judge's marks from 0 to 10 (DeltaNet 5, Gated DeltaNet 10), with a reason.

    `correctness` is whether the code does what the motivation says, as far as can be read; None in
    records from before it was asked for.
    """

    innovation: Finite = Field(ge=0, le=10)
    complexity: Finite = Field(ge=0, le=10)
    correctness: Finite | None = Field(default=None, ge=0, le=10)
    convergence: Finite = Field(ge=0, le=10)
    performance: Finite = Field(ge=0, le=10)
    reason: str = Field(min_length=1, max_length=4000)

    @property
    def marks(self) -> dict[str, float]:
        """The marks that were given, by name."""
        return {name: mark for name, mark in self if isinstance(mark, int | float)}

    @property
    def score(self) -> float:
        """The mean of the marks that were given, scaled to [0, 1]."""
        marks = self.marks.values()
        return sum(marks) / (10 * len(marks))


class Judgement(Value):
    """The number that selection uses (never the number that is claimed) and its terms.

    `rubric` has the mean marks of `scorings`, of which each saw the evidence in another order; in
    records from before the judge was asked twice there are none. `estimate` is the loss shrunk
    towards what the parent let expect, and `judge_weight` what the judge's marks count for; both
    are None in records from before they were kept, and the weight where the mode fixes it.
    """

    mode: Literal["paper", "calibrated"]
    fitness: Finite
    terms: dict[str, Finite]
    rubric: Rubric
    scorings: tuple[Rubric, ...] = ()
    estimate: Estimate | None = None
    judge_weight: Finite | None = None

    @property
    def spread(self) -> float | None:
        """Half the largest difference between the mean marks of two scorings, in marks.

        None where there were fewer than two.
        """
        means = [10 * one.score for one in self.scorings]
        return (max(means) - min(means)) / 2 if len(means) > 1 else None


# --- analyst -----------------------------------------------------------------------------------


class Analysis(Value):
    """Why the result came out as it did, and what to look up next.

    `evidence` holds for each lesson the numbers of the experiments that bear it out, of those that
    the analyst was shown, and `questions` what it left open; both are empty in records from before
    they were asked for. `supports` and `contradicts` are ids of earlier lessons that it was shown.
    """

    summary: str = Field(min_length=1, max_length=8000)
    expectation_met: bool
    cause: str
    lessons: tuple[str, ...] = ()
    evidence: tuple[tuple[int, ...], ...] = ()
    questions: tuple[str, ...] = ()
    query: str = ""
    supports: tuple[str, ...] = ()
    contradicts: tuple[str, ...] = ()


# --- archive -----------------------------------------------------------------------------------


class TokenUse(Value):
    """What one turn of one role used: tokens, money, and seconds of the model and of its tools.

    `usd` is None where the model has no known price. `machine_seconds` are those that its tools
    spent in the evaluator; None in records from before they were counted.
    """

    role: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    seconds: Finite = 0.0
    usd: Finite | None = None
    machine_seconds: Finite | None = None


Status = Literal["scored", "failed", "refused", "unjudged"]
Policy = Literal["paper", "posterior", "best-of-n", "random"]


class Experiment(Value):
    """One candidate with everything that is known of it.

    `scored` has a judgement; `failed` did not survive evaluation; `refused` repeated an old idea
    or could not be proposed; `unjudged` was measured, but no judgement could be had. `arm` is the
    control arm that it belongs to, None for the campaign's own policy; `forecast` is what the judge
    expected before the training, None where none could be had.
    """

    id: str
    campaign: str
    number: int
    status: Status
    reason: str = ""
    parent: int
    arm: Policy | None = None
    references: tuple[int, ...] = ()
    selection_reason: str = ""
    proposal: Proposal | None = None
    novelty: Novelty | None = None
    forecast: Forecast | None = None
    outcome: Outcome | None = None
    judgement: Judgement | None = None
    analysis: Analysis | None = None
    revisions: tuple[str, ...] = ()
    usage: tuple[TokenUse, ...] = ()
    seconds: Finite = 0.0
    started: str = ""

    @property
    def fitness(self) -> float | None:
        """The fitness, or None when this experiment was not scored."""
        return self.judgement.fitness if self.judgement else None


Part = Literal["analysis", "cognition", "novelty"]


class Caps(Value):
    """What the model calls of a campaign may cost in all its runs; None: without limit."""

    usd: Finite | None = Field(default=None, gt=0)
    tokens: int | None = Field(default=None, ge=1)
    calls: int | None = Field(default=None, ge=1)


# What a campaign may be given anew when it goes on; it shapes no result.
SIZE = frozenset({"experiments", "budget_seconds", "caps"})


class Forked(Value):
    """Where a fork left another campaign: before which node of which experiment."""

    campaign: str
    number: int
    node: str


class CampaignConfig(Value):
    """Everything that shapes the results of a campaign; stored with it.

    `batch` experiments see the same pool (the paper's batched update), so that as many may run
    side by side and the record does not depend on which of them ends first. `without` names the
    parts of the loop that are left out, to measure what they are worth. `policy` says how parents
    are chosen (`move37.memory.policies`), and `early_stopping` whether runs that lag behind earlier
    ones are stopped (`move37.evaluation.pruning`). `arms` maps other policies to the share of
    experiments that each takes as a control arm (`move37.memory.arms`). `prompts` are documents in
    the place of their roles' own, and `forked` says where a fork left another campaign.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    tier: str = "laptop"
    seed: int = 0
    experiments: int = Field(default=8, ge=1, le=100_000)
    budget_seconds: Finite | None = None
    caps: Caps = Caps()
    batch: int = Field(default=2, ge=1, le=64)
    fitness: Literal["paper", "calibrated"] = "calibrated"
    root: str = "delta_net"
    models: dict[str, str] = Field(default_factory=dict)
    text: str | None = None
    max_revisions: int = Field(default=3, ge=0, le=10)
    max_repeats: int = Field(default=3, ge=0, le=10)
    without: tuple[Part, ...] = ()
    policy: Policy = "posterior"
    early_stopping: bool = True
    arms: dict[Policy, Annotated[Finite, Field(gt=0, lt=1)]] = Field(default_factory=dict)
    prompts: dict[str, str] = Field(default_factory=dict)
    forked: Forked | None = None

    @classmethod
    def from_record(cls, stored: dict[str, Any]) -> Self:
        """Read what a store holds: what was the only way before there was a choice.

        The policy was the paper's, and every run went to its end.
        """
        return cls.model_validate({"policy": "paper", "early_stopping": False} | stored)

    @field_validator("without")
    @classmethod
    def _in_one_order(cls, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        return tuple(sorted(set(parts)))

    @model_validator(mode="after")
    def _arms_leave_a_share(self) -> Self:
        if self.policy in self.arms:
            raise ValueError(f"{self.policy} is the campaign's own policy, so it can be no arm")
        if sum(self.arms.values()) >= 1:
            raise ValueError("the shares of the arms must leave some experiments to the policy")
        return self

    @property
    def past(self) -> str:
        """The campaign whose experiments are seen: its own, or the one that a fork has left."""
        return self.forked.campaign if self.forked else self.name

    @property
    def id(self) -> str:
        """Content hash of the configuration without its size, so that a campaign may grow."""
        # What was the only way before there was a choice says nothing: old campaigns keep their
        # ids.
        later = ("without", "early_stopping", "arms", "prompts", "forked")
        silent = set(SIZE) | {name for name in later if not getattr(self, name)}
        silent |= {"policy"} if self.policy == "paper" else set()
        return content_id(self.model_dump(exclude=silent))


class Campaign(Value):
    """A campaign as it stands in the store."""

    config: CampaignConfig
    baseline: Baseline | None = None
    created: str = ""


class Progress(Value):
    """One sign of life of a running experiment, for a watcher."""

    experiment: int
    node: str
    event: str
    step: int = 0
    total: int = 0
    loss: Finite | None = None
    detail: str = ""


def experiment_id(config: CampaignConfig, number: int) -> str:
    """Return the id of the experiment with this number (from 1) in this campaign."""
    return content_id(config.id, number)


# --- errors ------------------------------------------------------------------------------------


class UserError(Exception):
    """Something that a user can mend: one line that says what happened and what to do."""


class Weather(Exception):
    """A provider or lease that did not answer as agreed; the experiment goes on without it.

    `use` is what the turn cost that came to nothing.
    """

    def __init__(self, message: str, use: tuple[TokenUse, ...] = ()) -> None:
        super().__init__(message)
        self.use = use


class BudgetSpent(Exception):
    """The next model call could pass a cap of the campaign, so it was not made.

    `cap` is the field of `Caps` that was met.
    """

    def __init__(self, message: str, cap: Literal["usd", "tokens", "calls"]) -> None:
        super().__init__(message)
        self.cap = cap
