"""A folder for runs, one cache of the smoke baseline and one finished campaign for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from move37.evaluation.client import EvaluatorProcess, open_evaluator
from move37.evaluation.isolation.obtain import Mode
from move37.evaluation.tiers import Tier, load_tier
from move37.graph.campaign import run_campaign
from move37.records import CampaignConfig, Progress
from move37.settings import Settings
from tests.graph.records import Played


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="package", autouse=True)
def one_evaluator(cache: Path) -> Iterator[None]:
    """One real evaluating process for all campaigns of these tests; each would start its own."""
    smoke = load_tier("smoke")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        started: list[EvaluatorProcess] = []

        @contextmanager
        def opened(
            mode: Mode, tier: Tier | None = None, text: str | None = None, cache: Path = cache
        ) -> Iterator[EvaluatorProcess]:
            if (tier, text) != (smoke, None):
                with open_evaluator(mode, tier, text, cache) as own:
                    yield own
                return
            if not started:
                started.append(stack.enter_context(open_evaluator(mode, smoke, None, cache)))
            try:
                yield started[0]
            except BaseException:
                # What ends a campaign ends its evaluator too.
                started.clear()
                raise

        patch.setattr("move37.graph.lab.open_evaluator", opened)
        yield


@pytest.fixture
def settings(tmp_path: Path, cache: Path) -> Settings:
    return Settings(home=tmp_path / "runs", cache=cache)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Played:
    config = CampaignConfig(name="same", tier="smoke", experiments=4, seed=3)
    settings = Settings(home=tmp_path_factory.mktemp("played") / "runs", cache=cache)
    seen: list[Progress] = []
    return Played(config, settings, run_campaign(config, settings, seen.append), seen)
