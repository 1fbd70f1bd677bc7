"""A folder for runs, and one cache of the smoke baseline for the whole session."""

from __future__ import annotations

from pathlib import Path

import pytest

from move37.settings import Settings


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def settings(tmp_path: Path, cache: Path) -> Settings:
    return Settings(home=tmp_path / "runs", cache=cache)
