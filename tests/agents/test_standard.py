"""LangChain's standard tests for chat models and caches, on those of this package."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.caches import BaseCache
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import SyncCacheTestSuite
from langchain_tests.unit_tests import ChatModelUnitTests

from move37.agents.models.answer_cache import AnswerCache
from move37.agents.models.ledger import Ledger
from move37.agents.models.prices import load_prices
from move37.agents.models.wire import Line, Voice, Wired
from move37.agents.offline.model import OfflineModel
from move37.records import Caps


class TestOfflineModel(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return OfflineModel

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {}


class TestWiredModel(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return Wired

    @property
    def chat_model_params(self) -> dict[str, object]:
        voices = (Voice("offline:grammar", OfflineModel()),)
        return {"line": Line("judge", voices, Ledger(Caps(), load_prices()))}


class TestAnswerCache(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, tmp_path: Path) -> BaseCache:
        return AnswerCache(tmp_path / "answers.sqlite")
