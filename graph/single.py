"""One file outside any campaign: measured, judged, and nothing stored."""

from __future__ import annotations

from move37.agents.briefs import JudgeBrief
from move37.agents.judge import mark, mean_of
from move37.agents.models.choosing import chat_model
from move37.evaluation.client import open_evaluator
from move37.evaluation.data import find_text
from move37.evaluation.fitness import Known, SuspectedLeak, fitness_terms, shrink
from move37.evaluation.isolation.obtain import Isolation
from move37.evaluation.tiers import load_tier
from move37.graph.lab import Watch, announce, measure_root, root_candidate
from move37.memory.posterior import believe
from move37.records import (
    Baseline,
    Failed,
    Judgement,
    Measured,
    Proposal,
    Value,
    Weather,
)
from move37.settings import Settings

ROOT = "delta_net"


class Verdict(Value):
    """What came of one file; `judgement` is missing where it failed or no judge was to be had."""

    outcome: Measured | Failed
    baseline: Baseline
    judgement: Judgement | None
    isolation: Isolation


def evaluate_file(
    proposal: Proposal, tier: str, text: str | None, seed: int, settings: Settings, watch: Watch
) -> Verdict:
    """Take one file through gates, training and fitness at a tier.

    Raises:
        UserError: the tier, the text or the judge's model does not exist.
    """
    scale, model = load_tier(tier), chat_model("judge", settings)
    place = str(find_text(text)) if text else None
    with open_evaluator(settings.isolation, scale, place, settings.cache) as evaluator:
        announce(evaluator.isolation, watch)
        baseline = measure_root(ROOT, settings, evaluator, watch)
        outcome = evaluator.evaluate(proposal.code, seed, baseline)
    unjudged = Verdict(
        outcome=outcome, baseline=baseline, judgement=None, isolation=evaluator.isolation
    )
    if isinstance(outcome, Failed):
        return unjudged
    root = root_candidate(baseline)
    brief = JudgeBrief(
        seed=seed, number=1, proposal=proposal, measured=outcome, baseline=baseline, parent=root
    )
    noise = baseline.noise["text"]
    # A file has no parent but the root, and its judge has predicted nothing yet.
    known = Known(believe((), root, noise, scale.text.tau).of_child(root.number), judge_weight=0.0)
    try:
        scorings, _ = mark(brief, model)
        rubric = mean_of(scorings)
        terms = fitness_terms("calibrated", outcome, baseline, rubric, scale, known)
    except (Weather, SuspectedLeak):
        return unjudged
    judgement = Judgement(
        mode="calibrated",
        fitness=sum(terms.values()),
        terms=terms,
        rubric=rubric,
        scorings=scorings,
        estimate=shrink(outcome, "text", noise, known.prior),
        judge_weight=known.judge_weight,
    )
    return unjudged.model_copy(update={"judgement": judgement})
