"""Bad providers are told before a campaign, in one line that says what to do."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from move37.agents.models import chat_model, check_models
from move37.agents.offline import OfflineModel
from move37.records import UserError
from move37.settings import Settings


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def test_the_default_needs_no_key() -> None:
    check_models(settings())
    assert isinstance(chat_model("judge", settings()), OfflineModel)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("nosuch:thing", "nosuch"),
        ("offline:dragon", "the built-in one is offline:grammar"),
        ("mistralai:large", "pip install langchain-mistralai"),
        ("openai:gpt-5-mini", "set MOVE37_API_KEY"),
        ("whatever", "whatever"),
        ("", "complete|provider|Unable"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_line(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint) as caught:
        check_models(settings(model=name))
    assert "\n" not in str(caught.value)


def test_one_role_with_a_bad_model_is_found_before_the_campaign() -> None:
    with pytest.raises(UserError, match="nosuch"):
        check_models(settings(analyst_model="nosuch:thing"))


def test_a_compatible_server_is_reached_by_its_address_without_own_retries() -> None:
    from langchain_openai import ChatOpenAI

    given = settings(
        judge_model="openai:local", base_url="http://127.0.0.1:9/v1", api_key=SecretStr("word")
    )
    model = chat_model("judge", given)
    assert isinstance(model, ChatOpenAI)
    assert (model.openai_api_base, model.max_retries) == ("http://127.0.0.1:9/v1", 0)
    assert model.request_timeout == given.model_timeout
