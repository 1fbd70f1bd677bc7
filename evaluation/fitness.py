"""The number that selection uses. It is never the number that is claimed.

`paper` follows ASI-Arch (2507.18074): sigmoids of relative loss and benchmark gains, and a judge,
a third each. `calibrated` asks the same questions in units of the measured noise and of the
spread of true differences, so that it does not saturate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from move37.evaluation.statistics.shrinkage import posterior
from move37.evaluation.tiers import Tier
from move37.records import Baseline, Estimate, Measured, Noise, Rubric, UserError

LEAK_SHARE = 0.1
EFFICIENCY_WEIGHT = 0.1


@dataclass(frozen=True)
class Known:
    """What is known before the measurement, and beside it.

    `prior` is what the design's parent lets expect of its text loss, `judge_weight` what the judge
    has earned (`move37.memory.forecasts`).
    """

    prior: Estimate
    judge_weight: float


class SuspectedLeak(Exception):
    """A loss so far below the baseline that the paper's rule treats it as a leak."""


def shrink(measured: Measured, task: str, noise: Noise, prior: Estimate) -> Estimate:
    """Return what is believed of a true loss once it was measured.

    `x ~ N(theta, sd^2 / seeds)`, `theta ~ prior` (`posterior`). The loss stands alone, not as a
    difference at the baseline's equal seed: at one seed that is the sharper one only where losses
    of two designs correlate by more than 1/2 over seeds (`benchmarks/seed_pairs.py` measures it).
    """
    seeds = sum(score.task == task for score in measured.scores)
    loss = np.array([measured.loss(task)])
    mean, variance = posterior(loss, noise.sd**2 / seeds, prior.mean, prior.sd)
    return Estimate(mean=float(mean[0]), sd=math.sqrt(variance[0]))


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def _clipped(x: float) -> float:
    return min(1.0, max(-1.0, x / 0.1))


def paper_terms(measured: Measured, baseline: Baseline, rubric: Rubric) -> dict[str, float]:
    """The reference system's three terms, each in [0, 1], with their weights applied.

    Raises:
        SuspectedLeak: the text loss is more than 10 % under the baseline's.
    """
    base = baseline.noise["text"].mean
    gain = (base - measured.loss("text")) / base
    if gain > LEAK_SHARE:
        raise SuspectedLeak(f"held-out loss is {gain:.0%} under the baseline's")
    recall = baseline.noise["recall"].mean
    # The benchmark is a likelihood here: the share of the baseline's loss that is gained.
    bench = (recall - measured.loss("recall")) / recall
    return {
        "loss": _sigmoid(6 * _clipped(gain)) / 3,
        "benchmark": _sigmoid(6 * _clipped(bench)) / 3,
        "judge": rubric.score / 3,
    }


def efficiency(measured: Measured, baseline: Baseline) -> float:
    """1/2 at the baseline's cost; falls with parameters, operations and state (log scale).

    Parameters are counted in the weights. Operations and state are told by the box that holds the
    candidate, so they may cost something and never earn anything.
    """
    ours, base = measured.size, baseline.size
    ratios = (
        ours.parameters / base.parameters,
        max(1.0, (ours.flops_per_token + 1) / (base.flops_per_token + 1)),
        max(1.0, (ours.state_bytes + 1) / (base.state_bytes + 1)),
    )
    return float(norm.cdf(-sum(math.log2(r) for r in ratios) / len(ratios)))


def calibrated_terms(
    measured: Measured, baseline: Baseline, rubric: Rubric, tier: Tier, known: Known
) -> dict[str, float]:
    """Gains in units of twice the spread of true differences, weighted, in [0, 1].

    Text leans towards what the parent let expect, recall towards the baseline. The weights sum to
    1 whatever the judge has earned, so the baseline always stands at 1/2.
    """
    terms = {}
    for task, spec in (("text", tier.text), ("recall", tier.recall)):
        noise = baseline.noise[task]
        prior = known.prior if task == "text" else Estimate(mean=noise.mean, sd=spec.tau)
        gain = noise.mean - shrink(measured, task, noise, prior).mean
        terms[task] = spec.weight * float(norm.cdf(gain / (2 * spec.tau)))
    terms["efficiency"] = EFFICIENCY_WEIGHT * efficiency(measured, baseline)
    weights = tier.text.weight + tier.recall.weight + EFFICIENCY_WEIGHT
    share = (1 - known.judge_weight) / weights
    scaled = {name: share * value for name, value in terms.items()}
    return scaled | {"judge": known.judge_weight * rubric.score}


def fitness_terms(
    mode: str,
    measured: Measured,
    baseline: Baseline,
    rubric: Rubric,
    tier: Tier,
    known: Known,
) -> dict[str, float]:
    """Return the weighted terms whose sum is the fitness."""
    match mode:
        case "paper":
            return paper_terms(measured, baseline, rubric)
        case "calibrated":
            return calibrated_terms(measured, baseline, rubric, tier, known)
        case unknown:
            raise UserError(f"unknown fitness {unknown!r}: use paper or calibrated")
