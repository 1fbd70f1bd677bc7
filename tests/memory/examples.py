"""Real values for the tests of memory, made without measuring anything."""

from __future__ import annotations

from move37.records import (
    Analysis,
    Candidate,
    Cost,
    CurvePoint,
    Experiment,
    Failed,
    GateReport,
    GateResult,
    Judgement,
    Measured,
    Novelty,
    Proposal,
    Provenance,
    Rubric,
    Size,
    TaskScore,
    TokenUse,
)

CODE = """
import torch
from torch import nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0):
        super().__init__()
        self.project = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        gate = torch.sigmoid(self.project(x))
        return x * gate * 0.5, state
"""
ROOT = Candidate(
    number=0, name="delta_net", motivation="the root", code="root = 1", fitness=0.5, loss=1.25
)
GATES = GateReport(
    gates=(GateResult(id="G1", name="causality", passed=True, figure=1e-12, threshold=1e-9),),
    seconds=0.125,
)
PROVENANCE = Provenance(
    evaluator="e", data="d", tier="smoke", torch="2", machine="m", isolation="process"
)
SIZE = Size(parameters=12_345, mixer_parameters=678, flops_per_token=1e6, state_bytes=4096)


def proposal(
    motivation: str = "open the gate", code: str = CODE, mechanisms: tuple[str, ...] = ()
) -> Proposal:
    return Proposal(
        name="gated",
        motivation=motivation,
        hypothesis="the loss falls",
        expected_gain=0.1 + 0.2,
        mechanisms=mechanisms,
        code=code,
    )


def measured(loss: float = 1.2) -> Measured:
    return Measured(
        gates=GATES,
        audit=GATES,
        scores=(TaskScore(task="text", seed=0, loss=loss, tokens=100),),
        curve=(CurvePoint(task="text", step=1, loss=5.5, seconds=0.01),),
        size=SIZE,
        cost=Cost(train_seconds=1.0 / 3.0),
        provenance=PROVENANCE,
    )


def judgement(fitness: float) -> Judgement:
    rubric = Rubric(innovation=5, complexity=5, convergence=5, performance=5, reason="as good")
    return Judgement(mode="calibrated", fitness=fitness, terms={"loss": 0.1}, rubric=rubric)


def scored(
    number: int,
    fitness: float = 0.6,
    parent: int = 0,
    told: Proposal | None = None,
    campaign: str = "trial",
) -> Experiment:
    told = told or proposal()
    return Experiment(
        id=f"{campaign}-{number}",
        campaign=campaign,
        number=number,
        status="scored",
        parent=parent,
        references=(2, 3),
        proposal=told,
        novelty=Novelty(verdict="new", reason="new", fingerprint="f" * 64, nearest=((1, 0.1),)),
        outcome=measured(),
        judgement=judgement(fitness),
        analysis=Analysis(
            summary="it helped", expectation_met=True, cause="the gate", lessons=("gates help",)
        ),
        revisions=("first error",),
        usage=(
            TokenUse(role="judge", model="m", calls=2, input_tokens=30, output_tokens=4),
            TokenUse(role="analyst", model="m", calls=1, input_tokens=3, output_tokens=1),
        ),
        seconds=0.1 + 0.2,
        started="2025-01-01T00:00:00+00:00",
    )


def failed(number: int, parent: int = 0, told: Proposal | None = None) -> Experiment:
    return Experiment(
        id=f"trial-{number}",
        campaign="trial",
        number=number,
        status="failed",
        parent=parent,
        proposal=told or proposal(),
        outcome=Failed(stage="gate", reason="looks\nahead", log="Trace\x00 \u2028 back"),
    )


def pruned(
    number: int, parent: int = 0, told: Proposal | None = None, losses: tuple[float, ...] = (5.0,)
) -> Experiment:
    """An experiment whose run was stopped early, with its training losses on text."""
    points = (
        CurvePoint(task="text", step=step, loss=loss, seconds=0.1 * step)
        for step, loss in enumerate(losses, start=1)
    )
    lagged = Failed(stage="pruned", reason="loss 5.1 at step 9, smoothed", curve=tuple(points))
    return failed(number, parent, told).model_copy(update={"outcome": lagged})


def refused(number: int) -> Experiment:
    return Experiment(
        id=f"trial-{number}",
        campaign="trial",
        number=number,
        status="refused",
        reason="a repeat",
        parent=0,
        proposal=proposal(),
    )
