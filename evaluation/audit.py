"""Checks that are asked again of the trained weights, in boxes that did not do the scoring.

The scoring box saw one token at a time. Here fresh boxes see whole rows, as in training, and the
judge compares: the same rows in another order and company, with another suffix after a secret
cut, and cut off there. An honest model answers the same up to the rounding of float32; one that
reads the future, the batch or its own past does not. Synthetic tasks with tokens that nobody can
predict give a floor that no loss may go below.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from move37.evaluation.gates import thresholds
from move37.evaluation.isolation.nursery import Box
from move37.evaluation.scoring import vocabulary_of
from move37.records import GateReport, GateResult

Array = np.ndarray
# Largest difference of a probability. Rounding in float32 stays near 1e-6 on trained models; a
# leak worth having moves probabilities by more than a hundredth.
SAME = 1e-3
ROWS = 8
# A loss this many standard errors below what is possible is no luck.
FLOOR_ERRORS = 4.0


@dataclass(frozen=True)
class Question:
    """Tokens [B, T] for a fresh box, and the probabilities that it should answer with.

    `counted` marks the positions [B, T] at which the answer must be the same.
    """

    gate: str
    tokens: Array
    expected: Array
    counted: Array


@dataclass(frozen=True)
class Trained:
    """A model after training: its task, how to build it, and its weights, unread.

    `secret` decides what is asked of it: the same questions when the evaluation is repeated, and
    none that a box could foresee.
    """

    task: str
    job: dict[str, object]
    weights: bytes
    secret: int


def audit(box: Box, trained: Trained, tokens: Array, streamed: Array) -> GateReport:
    """Ask a fresh box about some rows of tokens [R, T]; compare with streamed logits [R, T, V].

    Raises:
        BoxFailure: the candidate raised, ran out of time, or returned NaN.
    """
    start = time.monotonic()
    draw = np.random.default_rng(trained.secret)
    questions = list(_questions(draw, tokens, streamed))
    # Shuffled, so that the order of the questions does not tell what each is for.
    questions = [questions[i] for i in draw.permutation(len(questions))]
    blob = np.frombuffer(trained.weights, np.uint8)
    box.send({**trained.job, "op": "score"}, [blob, *(q.tokens for q in questions)])
    gaps: dict[str, float] = {}
    for question in questions:
        logits = box.receive_array((*question.tokens.shape, vocabulary_of(trained.job)), "<f4")
        gap = np.abs(probabilities(logits) - question.expected).max(-1)
        largest = float(gap[question.counted].max())
        gaps[question.gate] = max(gaps.get(question.gate, 0.0), largest)
    results = tuple(_result(gate, trained.task, gaps[gate]) for gate in ASKED)
    return GateReport(gates=results, seconds=time.monotonic() - start)


# Gate: its name here, and what to mend when the trained weights fail it.
ASKED: dict[str, tuple[str, str]] = {
    "G10": ("whole rows = token by token", "the state must carry all that the next token needs"),
    "G7": ("another batch and order", "let no operation run over the batch"),
    "G1": ("another suffix", "position t may use positions <= t only"),
    "G3": ("prefix alone", "use nothing that depends on the total length"),
}


def _result(gate: str, task: str, gap: float) -> GateResult:
    name, advice = ASKED[gate]
    passed = gap <= SAME
    return GateResult(
        id=gate,
        name=f"{name}, trained on {task}",
        passed=passed,
        figure=gap,
        threshold=SAME,
        detail="" if passed else f"a probability differs by {gap:.2g} after training",
        advice="" if passed else f"{advice}, after training and in float32 too",
    )


def _questions(draw: np.random.Generator, tokens: Array, streamed: Array) -> Iterator[Question]:
    count, length = tokens.shape
    size = min(ROWS, count)
    for gate in ASKED:
        chosen = draw.choice(count, size, replace=False)
        asked = tokens[chosen].copy()
        expected = probabilities(streamed[chosen])
        counted = np.ones(asked.shape, bool)
        if gate == "G7":
            # The same rows a second time, in smaller company.
            half = size // 2 or 1
            yield Question(gate, asked[half:], expected[half:], counted[half:])
            asked, expected, counted = asked[:half], expected[:half], counted[:half]
        if gate == "G1":
            cuts = draw.integers(1, length, size)
            donors = tokens[draw.permutation(count)[:size]]
            counted = np.arange(length) < cuts[:, None]
            asked = np.where(counted, asked, donors)
        if gate == "G3":
            # Long enough for what depends on length to show.
            cut = int(draw.integers(length // 2, length))
            asked, expected, counted = asked[:, :cut], expected[:, :cut], counted[:, :cut]
        yield Question(gate, asked, expected, counted)


def probabilities(logits: Array) -> Array:
    """Return the softmax over the last axis in float64."""
    wide = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    share: Array = wide / wide.sum(-1, keepdims=True)
    return share


def floor_check(losses: Array, floor: float, task: str) -> GateResult:
    """G6: tokens that nobody can predict cost at least their entropy; `losses` are in nats."""
    error = float(losses.std(ddof=1) / np.sqrt(losses.size))
    excess = float((losses.mean() - floor) / max(error, 1e-12))
    passed = excess >= -FLOOR_ERRORS
    return GateResult(
        id="G6",
        name=f"floor of {task}",
        passed=passed,
        figure=excess,
        threshold=-FLOOR_ERRORS,
        detail=f"{losses.mean():.4f} nats on tokens of entropy {floor:.4f}",
        advice="" if passed else "no honest model can predict these tokens: look for a leak",
    )


def budget_check(parameters: int, baseline: int) -> GateResult:
    """G15 again: the gates were told how many parameters there are, here they are counted."""
    ratio = parameters / baseline
    passed = ratio <= thresholds.PARAMETERS
    return GateResult(
        id="G15",
        name="parameters, counted in the weights",
        passed=passed,
        figure=ratio,
        threshold=thresholds.PARAMETERS,
        detail=f"{parameters:,} in the mixers, the baseline has {baseline:,}",
        advice="" if passed else "make the layer smaller",
    )


def join(reports: Sequence[GateReport], extra: Sequence[GateResult] = ()) -> GateReport:
    """Put the audits of all tasks into one report."""
    gates = [gate for report in reports for gate in report.gates]
    return GateReport(gates=(*gates, *extra), seconds=sum(r.seconds for r in reports))
