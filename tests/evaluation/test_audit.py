"""Scoring that cannot see the future, and questions asked again of trained weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from move37.arch_templates.catalog import template_source
from move37.evaluation import audit, scoring
from move37.evaluation.data import recall_batches
from move37.evaluation.isolation.nursery import Limits, Nursery

SHAPE = {"vocabulary": 16, "layers": 2, "hidden": 32, "heads": 2, "expansion": 2.0}
ROWS = scoring.rows_of(recall_batches(0, (3, 8, 4), 16)).tokens
LIMITS = Limits(seconds=60)

# The gates look in float64; this one shows what it does in training's float32 only.
PEEKS = """
import torch
from torch import nn

class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.proj = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, state=None):
        y = self.proj(x)
        return {}, None
"""


def trained(nursery: Nursery, source: str, steps: int = 2) -> bytes:
    tokens, mask = recall_batches(1, (steps, 8, 4), 16).tokens, np.ones((steps, 8, 15), np.uint8)
    message = {"op": "train", "source": source, "shape": SHAPE, "seed": 0}
    with nursery.open_box(LIMITS) as box:
        box.send({**message, "rate": 1e-2, "decay": 0.0, "warmup": 1}, [tokens, mask])
        for _ in range(steps + 1):
            box.receive_json()
        return box.receive(limit=1 << 24)[1]


def audited(nursery: Nursery, source: str) -> dict[str, bool]:
    job: dict[str, object] = {"source": source, "shape": SHAPE}
    weights = trained(nursery, source)
    with nursery.open_box(LIMITS) as box:
        streamed = scoring.stream_logits(box, job, weights, ROWS)
    with nursery.open_box(LIMITS) as box:
        report = audit.audit(box, audit.Trained("recall", job, weights, secret=3), ROWS, streamed)
    return {gate.id: gate.passed for gate in report.gates}


def test_streamed_logits_are_those_of_whole_rows(nursery: Nursery) -> None:
    source = template_source("gated_delta_net")
    assert audited(nursery, source) == dict.fromkeys(("G10", "G7", "G1", "G3"), True)


@pytest.mark.parametrize(
    ("answer", "caught"),
    [
        ("y + torch.roll(x, -1, 1)", {"G10", "G1", "G3"}),
        ("y * (1 + x.shape[1] / 7)", {"G10", "G3"}),
        ("y + x.mean(0, keepdim=True)", {"G7"}),
    ],
)
def test_what_the_trained_weights_do_wrong_is_named(
    nursery: Nursery, answer: str, caught: set[str]
) -> None:
    found = audited(nursery, PEEKS.format(answer))
    assert caught <= {gate for gate, passed in found.items() if not passed}


def test_a_model_that_peeks_gains_nothing_when_tokens_come_one_by_one(nursery: Nursery) -> None:
    job: dict[str, object] = {"source": PEEKS.format("torch.roll(x, -1, 1)"), "shape": SHAPE}
    weights = trained(nursery, str(job["source"]), steps=150)
    with nursery.open_box(LIMITS) as box:
        alone = scoring.stream_logits(box, job, weights, ROWS[:, :-1])
    with nursery.open_box(LIMITS) as box:
        box.send({**job, "op": "score"}, [np.frombuffer(weights, np.uint8), ROWS[:, :-1]])
        whole = box.receive_array(alone.shape, "<f4")
    honest, peeking = (nats(logits) for logits in (alone, whole))
    assert peeking < 0.7 * math.log(16)
    assert honest > math.log(16)


def nats(logits: np.ndarray) -> float:
    """Mean loss of all targets but the last, whose token the whole row does not hold either."""
    shares = audit.probabilities(logits[:, :-1])
    return float(-np.log(np.take_along_axis(shares, ROWS[:, 1:-1, None].astype(int), -1)).mean())


def test_a_loss_below_what_is_possible_is_a_leak_and_one_near_it_is_none() -> None:
    drawn = np.random.default_rng(0).normal(2.0, 0.5, 1000)
    assert audit.floor_check(drawn, 2.0, "recall").passed
    assert audit.floor_check(drawn, 1.0, "recall").passed
    leak = audit.floor_check(drawn, 2.2, "recall")
    assert not leak.passed
    assert "entropy 2.2" in leak.detail
