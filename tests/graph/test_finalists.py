"""The middle stage between a campaign and the holdout: a share of the designs at more seeds."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from move37.evaluation.tiers import Promotion, load_tier
from move37.evaluation.verification.runs import Job, Step
from move37.evaluation.verification.seeds import seeds_of
from move37.evaluation.verification.trial import Trial
from move37.graph.finalists import finalists, promoted
from move37.graph.verification import Plan
from move37.records import Failed, Measured, UserError
from tests.evaluation.verification import sample as trials
from tests.graph.records import Played
from tests.move37_package import sample

SMOKE = load_tier("smoke")


def plan_of(played: Played, tmp_path: Path) -> Plan:
    return Plan(
        tier=SMOKE,
        text=None,
        seeds=seeds_of(4),
        settings=played.settings,
        folder=tmp_path,
    )


def test_the_fittest_share_goes_on_and_never_fewer_than_are_wanted() -> None:
    campaign, experiments = sample.campaign(), sample.experiments()
    measured = [e for e in experiments if isinstance(e.outcome, Measured)]
    third = promoted(campaign, experiments, 1, Promotion(share=1 / 3))
    assert len(third) == -(-len(measured) // 3)
    assert third[0].fitness == max(e.fitness or 0.0 for e in experiments)
    assert len(promoted(campaign, experiments, len(measured), Promotion())) == len(measured)
    with pytest.raises(UserError, match="measured nothing yet"):
        promoted(campaign, [], 1, Promotion())


def test_the_lowest_mean_over_seeds_goes_to_the_holdout_not_the_luckiest_run(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds of the smoke tier are two: the campaign's, and one more for each."""
    picked = [e for e in played.experiments if isinstance(e.outcome, Measured)][:3]
    asked: list[Job] = []

    class Bench:
        def run(self, _phase: str, jobs: list[Job]) -> list[Trial | Failed]:
            asked.extend(jobs)
            worst, _, best = jobs
            return [
                trials.trial(1, 9.0, worst.setup),
                Failed(stage="train", reason="not finite"),
                trials.trial(1, 0.5, best.setup),
            ]

    monkeypatch.setattr("move37.graph.finalists.bench_of", lambda *_: Bench())
    monkeypatch.setattr("move37.graph.finalists.open_evaluator", lambda *_: nullcontext())
    found = finalists(picked, 1, plan_of(played, tmp_path), lambda *_: None)
    assert found == [picked[2]]
    assert [job.source for job in asked] == [e.proposal.code for e in picked if e.proposal]
    (seed,) = {job.seed for job in asked}
    assert isinstance(picked[0].outcome, Measured)
    assert seed != picked[0].outcome.scores[0].seed
    # What failed is behind what is merely bad.
    assert finalists(picked, 2, plan_of(played, tmp_path), lambda *_: None) == [
        picked[2],
        picked[0],
    ]


def test_as_few_as_are_wanted_need_no_more_seeds(played: Played, tmp_path: Path) -> None:
    picked = played.experiments[:2]
    assert finalists(picked, 2, plan_of(played, tmp_path), lambda *_: None) == picked


def test_designs_of_a_campaign_are_trained_at_a_second_seed(played: Played, tmp_path: Path) -> None:
    picked = [e for e in played.experiments if isinstance(e.outcome, Measured)][:2]
    seen: list[tuple[str, Step]] = []
    (found,) = finalists(
        picked, 1, plan_of(played, tmp_path), lambda label, step: seen.append((label, step))
    )
    assert found in picked
    assert {step.total for _, step in seen} == {2}
    assert seen[-1][1].done == 2
