"""From a campaign to the holdout: the best share of single runs, each at more seeds.

The lowest of many single losses is often merely the luckiest. Wide at one seed, some at three, few
on holdout seeds is successive halving (Karnin et al. 2013); `evaluation.statistics.staged` says in
simulation what it is worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from move37.evaluation.client import open_evaluator
from move37.evaluation.standing import TASK, standings
from move37.evaluation.tiers import Promotion
from move37.evaluation.verification.runs import Job
from move37.evaluation.verification.trial import Trial
from move37.evaluation.verification.twin import plain_setup
from move37.graph.verification import Plan, Tell, bench_of
from move37.records import Campaign, Experiment, Measured, UserError

LABEL = "the best by one seed"


def promoted(
    campaign: Campaign, experiments: Sequence[Experiment], top: int, rule: Promotion
) -> list[Experiment]:
    """Return the fittest share of what was measured, the fittest first, and at least `top`.

    Raises:
        UserError: nothing was measured yet.
    """
    lines = standings(campaign, experiments)
    if not lines:
        name = campaign.config.name
        raise UserError(f"campaign {name} has measured nothing yet that could be verified")
    return [line.experiment for line in lines[: max(top, math.ceil(rule.share * len(lines)))]]


def finalists(picked: Sequence[Experiment], top: int, plan: Plan, tell: Tell) -> list[Experiment]:
    """Train each on text until it has the tier's number of seeds; return the `top` best means.

    What fails at another seed comes last. Trials are kept, as all of a verification.
    """
    wanted = [(one, job) for one in picked for job in _jobs(one, plan)]
    if len(picked) <= top or not wanted:
        return list(picked[:top])
    settings = plan.settings
    with open_evaluator(settings.isolation, plan.tier, plan.text, settings.cache) as evaluator:
        folder = settings.cache.expanduser() / "trials"
        bench = bench_of(evaluator, settings, folder, lambda step: tell(LABEL, step))
        ended = bench.run("seeds", [job for _, job in wanted])
    losses = {one.number: _losses(one) for one in picked}
    for (one, _), trial in zip(wanted, ended, strict=True):
        losses[one.number].append(trial.loss if isinstance(trial, Trial) else math.inf)
    means = {number: sum(some) / len(some) for number, some in losses.items()}
    return sorted(picked, key=lambda one: means[one.number])[:top]


def _jobs(one: Experiment, plan: Plan) -> list[Job]:
    """The runs that a design still lacks, on seeds of selection."""
    if one.proposal is None or not isinstance(one.outcome, Measured):
        return []
    known = {score.seed for score in one.outcome.scores if score.task == TASK}
    source, setup = one.proposal.code, plain_setup(plan.tier)
    seeds = range(plan.tier.promotion.seeds)
    return [Job(source=source, setup=setup, seed=seed) for seed in seeds if seed not in known]


def _losses(one: Experiment) -> list[float]:
    assert isinstance(one.outcome, Measured)
    return [score.loss for score in one.outcome.scores if score.task == TASK]
