"""A folder for runs, one cache of the smoke baseline and one finished campaign for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from move37.graph.campaign import run_campaign
from move37.records import CampaignConfig, Progress
from move37.settings import Settings
from tests.graph.records import Played


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def settings(tmp_path: Path, cache: Path) -> Settings:
    return Settings(home=tmp_path / "runs", cache=cache)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Played:
    config = CampaignConfig(name="same", tier="smoke", experiments=4, seed=3)
    settings = Settings(home=tmp_path_factory.mktemp("played") / "runs", cache=cache)
    seen: list[Progress] = []
    return Played(config, settings, run_campaign(config, settings, seen.append), seen)
