"""A small campaign made up of records, with hostile text where a model may write."""

from __future__ import annotations

import math
import random

from move37.records import (
    Analysis,
    Baseline,
    Campaign,
    CampaignConfig,
    Candidate,
    Cost,
    CurvePoint,
    Estimate,
    Experiment,
    Failed,
    Forecast,
    GateReport,
    GateResult,
    Judgement,
    Measured,
    Noise,
    Novelty,
    Outcome,
    Policy,
    Prediction,
    Proposal,
    Provenance,
    Rubric,
    Size,
    Status,
    TaskScore,
    TokenUse,
    experiment_id,
)

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>[bold]x[/bold]"
ROOT_CODE = """import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution, chunk_delta_rule, l2norm


class TokenMixer(nn.Module):
    \"\"\"The delta rule with short convolution and an output gate.\"\"\"

    def forward(self, x, state=None):
        beta = torch.sigmoid(self.beta(x))
        out, state = chunk_delta_rule(self.q(x), l2norm(self.k(x)), self.v(x), beta)
        return self.out(out), state
"""
SIZE = Size(parameters=73_472, mixer_parameters=24_900, flops_per_token=5.1e5, state_bytes=8192)
PROVENANCE = Provenance(
    evaluator="9f1c2ab04d77",
    data="0d4bb19a6e21",
    tier="laptop",
    torch="2.13.0",
    machine="x86_64 2 cores",
    isolation="bubblewrap+landlock+seccomp",
)
STEPS = 200


def curve(seed: int, floor: float) -> tuple[CurvePoint, ...]:
    """A falling training loss of the text task and a flatter one of recall."""
    rng = random.Random(seed)
    points = []
    for step in range(5, STEPS + 1, 5):
        fall = math.exp(-step / 45)
        text = floor + 3.2 * fall + rng.gauss(0, 0.03)
        points.append(CurvePoint(task="text", step=step, loss=text, seconds=step * 0.11))
        recall = 1.1 + 2.4 * fall + rng.gauss(0, 0.05)
        points.append(CurvePoint(task="recall", step=step, loss=recall, seconds=step * 0.05))
    return tuple(points)


def scores(loss: float, seeds: int = 1) -> tuple[TaskScore, ...]:
    text = [TaskScore(task="text", seed=s, loss=loss, tokens=65_536) for s in range(seeds)]
    recall = [TaskScore(task="recall", seed=s, loss=1.32, tokens=4096) for s in range(seeds)]
    return (*text, *recall)


def campaign(*, measured: bool = True, isolation: str = PROVENANCE.isolation) -> Campaign:
    """A campaign at the laptop tier; with `measured`, its baseline has 8 seeds."""
    config = CampaignConfig(name="first", experiments=8, models={"researcher": "offline:grammar"})
    baseline = Baseline(
        name="delta_net",
        code="class TokenMixer: ...",
        tier="laptop",
        noise={
            "text": Noise(mean=2.312, sd=0.019, seeds=8),
            "recall": Noise(mean=1.31, sd=0.21, seeds=8),
        },
        size=SIZE,
        step_seconds={"text": 0.11, "recall": 0.05},
        curve=curve(0, 2.2),
        scores=scores(2.312, seeds=8),
        provenance=PROVENANCE.model_copy(update={"isolation": isolation}),
    )
    created = "2026-11-21T04:00:00+00:00"
    return Campaign(config=config, baseline=baseline if measured else None, created=created)


def root() -> Candidate:
    return Candidate(
        number=0,
        name="delta_net",
        motivation="the delta rule",
        code=ROOT_CODE,
        fitness=0.5,
        loss=2.312,
    )


def gates(*, broken: bool = False) -> GateReport:
    results = [
        GateResult(id="G1", name="suffix perturbation", passed=True, figure=3e-16, threshold=1e-9),
        GateResult(
            id="G3",
            name="prefix consistency",
            passed=not broken,
            figure=0.31 if broken else 2e-15,
            threshold=1e-9,
            detail="position 63 changes with the length" if broken else "",
            advice="let nothing depend on the total length" if broken else "",
        ),
    ]
    return GateReport(gates=tuple(results), seconds=1.4)


def audit() -> GateReport:
    """What is asked again of trained weights."""
    asked = GateResult(
        id="G1", name="another suffix, trained", passed=True, figure=4e-7, threshold=2e-3
    )
    floor = GateResult(
        id="G6",
        name="floor of recall",
        passed=True,
        figure=2.6,
        threshold=-4.0,
        detail="3.59 nats on tokens of entropy 3.47",
    )
    return GateReport(gates=(asked, floor), seconds=0.3)


def proposal(number: int, name: str, extra: str) -> Proposal:
    code = ROOT_CODE.replace(
        "torch.sigmoid(self.beta(x))", f"2 * torch.sigmoid(self.beta(x)){extra}"
    )
    return Proposal(
        name=name,
        motivation=f"Design {number}: eigenvalues below zero let the state rotate. {HOSTILE}",
        hypothesis="Held-out loss falls because the state tracks nested brackets.",
        expected_gain=0.02,
        mechanisms=("delta-rule", "beta-double"),
        code=code,
    )


def experiment(
    number: int,
    parent: int,
    name: str,
    outcome: Outcome | None,
    *,
    fitness: float | None = None,
    status: Status = "scored",
    reason: str = "",
) -> Experiment:
    """One experiment; a fitness brings its judgement and analysis with it."""
    rubric = Rubric(innovation=6, complexity=5, convergence=6, performance=5, reason="measured")
    lesson = Analysis(
        summary="The gain is smaller than the noise.",
        expectation_met=False,
        cause="one seed cannot tell",
        lessons=("Doubling beta alone changes little.",),
    )
    scored = fitness is not None
    return Experiment(
        id=experiment_id(campaign().config, number),
        campaign="first",
        number=number,
        status=status,
        reason=reason,
        parent=parent,
        selection_reason="highest fitness",
        proposal=proposal(number, name, f" + {number}e-3"),
        novelty=Novelty(verdict="new", reason="", fingerprint=f"{number:012x}"),
        outcome=outcome,
        judgement=Judgement(
            mode="calibrated",
            fitness=fitness,
            terms={"loss": fitness, "judge": 0.55},
            rubric=rubric,
        )
        if fitness is not None
        else None,
        analysis=lesson if scored else None,
        usage=(
            TokenUse(
                role="researcher",
                model="offline:grammar",
                calls=2,
                input_tokens=1500,
                output_tokens=700,
                seconds=0.2,
            ),
        ),
        seconds=68.0 + number,
        started="2026-11-21T04:05:00+00:00",
    )


def measured(number: int, loss: float, parameters: int = 73_472) -> Measured:
    return Measured(
        gates=gates(),
        audit=audit(),
        scores=scores(loss),
        curve=curve(number, loss - 0.11),
        size=SIZE.model_copy(update={"parameters": parameters}),
        cost=Cost(
            gate_seconds=1.4,
            train_seconds=58.0,
            score_seconds=4.1,
            cpu_seconds=63.0,
            peak_bytes=410_000_000,
        ),
        provenance=PROVENANCE,
        forms={"chunk_delta_rule": "chunked"},
    )


def experiments() -> list[Experiment]:
    """Eight experiments: within noise, better, worse, failed, refused and unjudged."""
    broken = Failed(
        stage="gate",
        reason=f"G3 prefix consistency failed {HOSTILE}",
        log="trace " + HOSTILE,
        gates=gates(broken=True),
        cost=Cost(gate_seconds=1.6),
    )
    slow = Failed(stage="timeout", reason="step time 4.1 times the baseline's", curve=curve(9, 2.5))
    return [
        experiment(1, 0, "double_beta_delta", measured(1, 2.301), fitness=0.56),
        experiment(2, 0, HOSTILE[:80], measured(2, 2.339), fitness=0.41),
        experiment(3, 1, "prefix_leak", broken, status="failed", reason=broken.reason),
        experiment(4, 1, "gated_delta_short", measured(4, 2.262, 74_100), fitness=0.71),
        experiment(5, 4, "two_stage_router", measured(5, 2.271, 76_020), fitness=0.66),
        experiment(6, 2, "slow_convolution", slow, status="failed", reason=slow.reason),
        experiment(7, 4, "repeat", None, status="refused", reason="repeats experiment 4"),
        experiment(8, 5, "unjudged_decay", measured(8, 2.401), status="unjudged"),
    ]


def with_arms() -> tuple[Campaign, list[Experiment]]:
    """The same campaign with a control arm, predictions, and what was believed of each loss."""
    plain = campaign()
    shares: dict[Policy, float] = {"best-of-n": 0.25}
    config = plain.config.model_copy(update={"arms": shares})
    told = []
    for one in experiments():
        # Both scorings say the same of the first designs and differ a little from then on.
        guess = [
            Prediction(gain=0.01 * one.number + wobble, sd=0.03, reason=HOSTILE)
            for wobble in (0.0, 0.001)
        ]
        parent = Estimate(mean=2.312, sd=0.012)
        judged = one.judgement
        if judged is not None and one.outcome is not None and one.outcome.kind == "measured":
            known = Estimate(mean=(one.outcome.loss() + 2.312) / 2, sd=0.014)
            judged = judged.model_copy(update={"estimate": known, "judge_weight": 0.0})
        changes = {
            "arm": "best-of-n" if one.number in (2, 5) else None,
            "forecast": Forecast(parent=parent, scorings=tuple(guess)) if one.outcome else None,
            "judgement": judged,
        }
        told.append(one.model_copy(update=changes))
    return plain.model_copy(update={"config": config}), told
