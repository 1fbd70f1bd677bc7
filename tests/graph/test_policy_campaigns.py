"""Each way to choose parents, in a campaign of its own at the smoke tier."""

from __future__ import annotations

import pytest

from move37.graph.campaign import run_campaign
from move37.graph.lab import open_store
from move37.records import CampaignConfig, Measured, Policy
from move37.settings import Settings

SAID = {
    "paper": "by fitness",
    "posterior": "by posterior loss",
    "best-of-n": "starts from the root template (1 so far)",
    "random": "drawn from all 2 designs alike",
}


@pytest.mark.parametrize("policy", list(SAID))
def test_a_campaign_runs_by_its_policy_and_its_record_says_so(
    policy: Policy, settings: Settings
) -> None:
    # One at a time, so that the second sees the first.
    config = CampaignConfig(name="p", tier="smoke", experiments=2, batch=1, policy=policy, seed=1)
    first, second = run_campaign(config, settings)
    assert isinstance(first.outcome, Measured)
    assert first.judgement is not None
    assert SAID[policy] in second.selection_reason
    assert second.parent in ({0} if policy == "best-of-n" else {0, 1})
    with open_store(settings) as store:
        stored = store.campaign("p")
    assert stored is not None
    assert stored.config.policy == policy
