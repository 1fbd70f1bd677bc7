"""A real provider, as the environment names it: MOVE37_MODEL=... pytest -m live."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from move37.agents.models.choosing import chat_model
from move37.agents.models.greeting import greet
from move37.agents.models.wire import Wired
from move37.graph.campaign import run_campaign
from move37.records import CampaignConfig, Status
from move37.settings import OFFLINE, ROLES, Settings, load_settings

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]


@pytest.fixture
def live(tmp_path: Path) -> Settings:
    settings = load_settings().model_copy(update={"home": tmp_path})
    if settings.model_of("researcher") == OFFLINE:
        pytest.skip("MOVE37_MODEL names no provider")
    return settings


@pytest.mark.parametrize("role", ROLES)
def test_the_model_of_each_role_answers_by_a_tool(role: str, live: Settings) -> None:
    model = chat_model(role, live)
    assert isinstance(model, Wired)
    greeting = greet(role, model)
    assert greeting.called
    assert greeting.tokens > 0


def test_an_experiment_comes_to_its_end(live: Settings) -> None:
    config = CampaignConfig(name="live", tier="smoke", experiments=1)
    (experiment,) = run_campaign(config, live)
    assert experiment.status in get_args(Status)
    assert sum(use.calls for use in experiment.usage) > 0
