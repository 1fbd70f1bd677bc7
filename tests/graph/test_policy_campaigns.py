"""A policy that is not the default, in a campaign of its own at the smoke tier."""

from __future__ import annotations

from move37.graph.campaign import run_campaign
from move37.graph.lab import open_store
from move37.records import CampaignConfig, Measured
from move37.settings import Settings
from tests.graph.records import Played


def test_a_campaign_runs_by_its_policy_and_its_record_says_so(settings: Settings) -> None:
    # One at a time, so that the second sees the first.
    config = CampaignConfig(name="p", tier="smoke", experiments=2, batch=1, policy="paper", seed=1)
    first, second = run_campaign(config, settings)
    assert isinstance(first.outcome, Measured)
    assert first.judgement is not None
    assert "by fitness" in second.selection_reason
    assert second.parent in {0, 1}
    with open_store(settings) as store:
        stored = store.campaign("p")
    assert stored is not None
    assert stored.config.policy == "paper"


def test_the_default_policy_looks_at_what_is_believed(played: Played) -> None:
    assert played.config.policy == "posterior"
    assert all("by posterior loss" in one.selection_reason for one in played.experiments[2:])
