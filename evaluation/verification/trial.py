"""One source trained and scored on text at one seed, rate and size; its weights are audited.

Policy and gates are climbed once, by `Evaluator.admit`; what is asked of every trial is what
training can change: the loss, and whether the trained weights still keep to the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from move37.evaluation.data import Corpus
from move37.evaluation.evaluate import Evaluator, Run, Watcher, count_parameters, ignore
from move37.evaluation.isolation.nursery import BoxFailure, Nursery
from move37.evaluation.tiers import Tier
from move37.records import CurvePoint, Failed, Finite, GateReport, Value

# Enough for the eye; the hash of a certificate covers them.
CURVE_POINTS = 60


class Setup(Value):
    """How a source is trained: width, width of the MLP over it, factor on the tier's rate."""

    hidden: int = Field(ge=1)
    expansion: Finite = Field(gt=0)
    factor: Finite = Field(default=1.0, gt=0)

    def at(self, factor: float) -> Setup:
        """Return the same model at another learning rate."""
        return self.model_copy(update={"factor": factor})


class Trial(Value):
    """One training run on text, scored by the trusted process; `loss` in nats per token.

    `decode_ms` is the CPU time in which the scoring box takes one token of each of `decode_rows`
    sequences: it is for comparing designs of one run. `curve` is thinned telemetry of the box.
    """

    kind: Literal["trial"] = "trial"
    seed: int
    setup: Setup
    loss: Finite
    tokens: int
    parameters: int
    mixer_parameters: int
    curve: tuple[CurvePoint, ...]
    audit: GateReport
    decode_ms: Finite
    decode_rows: int
    cpu_seconds: Finite
    peak_bytes: int


class Counted(Value):
    """Values in the weights of a model: all, and of its mixers."""

    kind: Literal["counted"] = "counted"
    parameters: int
    mixer_parameters: int


TrialOutcome = Annotated[Trial | Failed, Field(discriminator="kind")]
CountOutcome = Annotated[Counted | Failed, Field(discriminator="kind")]


class TrialJudge:
    """Runs trials at one tier; safe to use from several threads."""

    def __init__(self, tier: Tier, corpus: Corpus, nursery: Nursery) -> None:
        self._tier = tier
        self._corpus = corpus
        self._nursery = nursery

    def run(self, source: str, seed: int, setup: Setup, watch: Watcher = ignore) -> Trial | Failed:
        """Train, score and audit; a candidate's failure is a value."""
        run = Run(source, seed, None, watch)
        evaluator = Evaluator(resized(self._tier, setup), self._corpus, self._nursery)
        try:
            score, audited, weights = evaluator.train_text(run)
            parameters, mixers = count_parameters(weights)
        except BoxFailure as failure:
            return Failed(stage=failure.stage, reason=failure.reason, log=failure.log)
        if not audited.passed:
            bad = [f"{g.id} {g.name}: {g.detail}" for g in audited.gates if not g.passed]
            return Failed(stage="audit", reason="; ".join(bad), gates=audited)
        account = run.account
        return Trial(
            seed=seed,
            setup=setup,
            loss=score.loss,
            tokens=score.tokens,
            parameters=parameters,
            mixer_parameters=mixers,
            curve=thinned(account.curve),
            audit=audited,
            decode_ms=1e3 * account.decode_seconds,
            decode_rows=account.decode_rows,
            cpu_seconds=account.cpu_seconds,
            peak_bytes=account.peak_bytes,
        )

    def count(self, source: str, setup: Setup) -> Counted | Failed:
        """Count the values in the weights that a training of one step returns."""
        tier = resized(self._tier, setup)
        short = {"steps": 1, "rows": 2, "length": 16, "held_out": 1}
        tier = tier.model_copy(update={"text": tier.text.model_copy(update=short)})
        run = Run(source, 0, None, ignore)
        try:
            weights = Evaluator(tier, self._corpus, self._nursery).train_text(run)[2]
            parameters, mixers = count_parameters(weights)
        except BoxFailure as failure:
            return Failed(stage=failure.stage, reason=failure.reason, log=failure.log)
        return Counted(parameters=parameters, mixer_parameters=mixers)


def resized(tier: Tier, setup: Setup) -> Tier:
    """Return the tier with another width, expansion and rate of the text."""
    text = tier.text.model_copy(update={"rate": tier.text.rate * setup.factor})
    size = {"hidden": setup.hidden, "expansion": setup.expansion}
    return tier.model_copy(update={**size, "text": text})


def thinned(curve: Sequence[CurvePoint]) -> tuple[CurvePoint, ...]:
    """Return some sixty points of a curve, evenly spaced, the last one among them."""
    every = max(1, -(-len(curve) // CURVE_POINTS))
    return tuple(curve[::-every][::-1])
