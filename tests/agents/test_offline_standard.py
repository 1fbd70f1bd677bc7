"""LangChain's standard unit tests for chat models, on the built-in one."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from move37.agents.offline import OfflineModel


class TestOfflineModel(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return OfflineModel

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {}
