"""Campaigns at the smoke tier in which runs are stopped early, or spared by lot."""

from __future__ import annotations

from functools import partial

import pytest

from move37.display import status_view
from move37.evaluation.pruning import Look, Rule, plan_for
from move37.evaluation.saving import saving
from move37.graph.campaign import run_campaign
from move37.graph.lab import open_store
from move37.records import CampaignConfig, Experiment, Failed, Measured, Progress
from move37.settings import Settings
from tests.graph.records import lasting
from tests.move37_package.test_display import shown

# Whatever is not ahead of all before it is stopped at step 10 of 40.
STRICT = Rule(looks=(Look(at=0.25, kept=0.01),), good=1, margin=0, fewest=2, spared=0)


def config(experiments: int = 4) -> CampaignConfig:
    return CampaignConfig(name="s", tier="smoke", experiments=experiments, seed=3)


def stop_by(rule: Rule, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("move37.graph.nodes.plan_for", partial(plan_for, rule=rule))


def stopped(experiments: list[Experiment]) -> list[Experiment]:
    return [e for e in experiments if isinstance(e.outcome, Failed) and e.outcome.stage == "pruned"]


def test_what_lags_is_stopped_and_goes_to_the_analyst(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_by(STRICT, monkeypatch)
    experiments = run_campaign(config(), settings)
    # The first two see nothing but the baseline.
    assert all(isinstance(e.outcome, Measured) for e in experiments[:2])
    pruned = stopped(experiments)
    assert pruned
    for one in pruned:
        assert isinstance(one.outcome, Failed)
        assert [point.step for point in one.outcome.curve] == list(range(1, 11))
        assert {point.task for point in one.outcome.curve} == {"text"}
        assert one.status == "failed"
        assert one.reason.startswith("pruned: loss ")
        assert one.revisions == ()
        roles = {"summarizer", "researcher", "forecaster", "analyst"}
        assert {use.role for use in one.usage} == roles
        assert one.analysis is not None
        assert "stopped early" in one.analysis.summary
    with open_store(settings) as store:
        campaign = store.campaign("s")
    assert campaign is not None
    assert campaign.baseline is not None
    found = saving(experiments, campaign.baseline)
    told = " ".join(shown(status_view(campaign, experiments)).split())
    assert (found.planned, found.made) == (320, 320 - 70 * len(pruned))
    assert f"runs stopped early: {len(pruned)}" in told


@pytest.mark.long
def test_stopped_runs_are_the_same_after_a_crash(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_by(STRICT, monkeypatch)
    experiments = run_campaign(config(), settings)
    assert stopped(experiments)

    def trip(progress: Progress) -> None:
        if (progress.experiment, progress.node, progress.event) == (3, "analyst", "started"):
            raise RuntimeError("a bug of ours")

    other = settings.model_copy(update={"home": settings.home / "other", "slots": 1})
    with pytest.raises(RuntimeError, match="a bug of ours"):
        run_campaign(config(), other, trip)
    assert lasting(run_campaign(config(), other)) == lasting(experiments)


@pytest.mark.slow
def test_the_lot_lets_a_run_that_lags_go_to_its_end_and_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_by(STRICT.model_copy(update={"spared": 1.0}), monkeypatch)
    runs = [e.outcome for e in run_campaign(config(3), settings)]
    measured = [run for run in runs if isinstance(run, Measured)]
    assert len(measured) == 3
    assert [bool(run.spared) for run in measured] == [False, False, True]
    assert any("at step 10" in run.spared.reason for run in measured if run.spared)


@pytest.mark.long
def test_without_early_stopping_every_run_goes_to_its_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_by(STRICT, monkeypatch)
    whole = config(3).model_copy(update={"early_stopping": False})
    assert stopped(run_campaign(whole, settings)) == []
