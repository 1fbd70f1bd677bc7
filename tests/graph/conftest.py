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


class Shared:
    """Opens one real evaluating process for all campaigns of these tests, when the first asks."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._smoke = load_tier("smoke")
        self._started: EvaluatorProcess | None = None
        self._stack = ExitStack()

    @contextmanager
    def opened(
        self,
        mode: Mode,
        tier: Tier | None = None,
        text: str | None = None,
        cache: Path | None = None,
    ) -> Iterator[EvaluatorProcess]:
        if (tier, text) != (self._smoke, None):
            with open_evaluator(mode, tier, text, cache or self._cache) as own:
                yield own
            return
        if self._started is None:
            one = open_evaluator(mode, self._smoke, None, self._cache)
            self._started = self._stack.enter_context(one)
        try:
            yield self._started
        except BaseException:
            # What ends a campaign ends its evaluator too.
            self._started = None
            raise

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def shared(cache: Path) -> Iterator[Shared]:
    shared = Shared(cache)
    yield shared
    shared.close()


@pytest.fixture(scope="module", autouse=True)
def one_evaluator(shared: Shared) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("move37.graph.lab.open_evaluator", shared.opened)
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
