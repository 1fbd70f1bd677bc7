"""Bad providers are told before a campaign, in one line that says what to do."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from move37.agents.models.choosing import chat_model, check_models
from move37.agents.models.wire import Line, Wired
from move37.records import UserError
from move37.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def line_of(role: str, given: Settings) -> Line:
    model = chat_model(role, given)
    assert isinstance(model, Wired)
    return model.line


def test_the_default_needs_no_key() -> None:
    check_models(settings())
    (voice,) = line_of("judge", settings()).voices
    assert (voice.name, voice.model._llm_type) == ("offline:grammar", "offline")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("nosuch:thing", "no provider 'nosuch' in provider:name; there are anthropic,"),
        ("offline:dragon", "the built-in one is offline:grammar"),
        ("mistralai:large", r"pip install 'move37\[mistral\]'"),
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
        check_models(settings(analyst={"model": "nosuch:thing"}))


def test_a_compatible_server_is_reached_by_its_address_without_own_retries() -> None:
    from langchain_openai import ChatOpenAI

    given = settings(
        judge={"model": "openai:local"},
        base_url="http://127.0.0.1:9/v1",
        api_key=SecretStr("word"),
    )
    (voice,) = line_of("judge", given).voices
    model = voice.model
    assert isinstance(model, ChatOpenAI)
    assert (model.openai_api_base, model.max_retries) == ("http://127.0.0.1:9/v1", 0)
    assert model.request_timeout == given.model_timeout


def test_a_role_has_its_own_model_address_limits_and_fall_backs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from langchain_openai import ChatOpenAI

    for name, value in {
        "MODEL": "openai:big",
        "API_KEY": "word",
        "TEMPERATURE": "0.7",
        "JUDGE_MODEL": "openai:small",
        "JUDGE_BASE_URL": "http://127.0.0.1:9/v1",
        "JUDGE_TEMPERATURE": "0.2",
        "JUDGE_TIMEOUT": "7",
        "JUDGE_MAX_OUTPUT": "500",
        "JUDGE_FALLBACKS": "openai:spare, offline:grammar",
        "JUDGE_PROTOCOL": "schema",
        "JUDGE_EFFORT": "low",
    }.items():
        monkeypatch.setenv(f"MOVE37_{name}", value)
    judge, analyst = (line_of(role, load_settings()) for role in ("judge", "analyst"))
    assert [v.name for v in judge.voices] == ["openai:small", "openai:spare", "offline:grammar"]
    assert (judge.timeout, judge.max_output, judge.protocol) == (7, 500, "schema")
    first, plain = judge.voices[0].model, analyst.voices[0].model
    assert isinstance(first, ChatOpenAI)
    assert isinstance(plain, ChatOpenAI)
    assert (first.openai_api_base, first.temperature) == ("http://127.0.0.1:9/v1", 0.2)
    assert (first.max_tokens, first.reasoning_effort) == (500, "low")
    assert (plain.openai_api_base, plain.temperature, plain.max_tokens) == (None, 0.7, 16_000)


def test_the_key_of_one_provider_is_not_given_to_another() -> None:
    given = settings(
        model="openai:m",
        api_key=SecretStr("of-openai"),
        base_url="http://127.0.0.1:9/v1",
        judge={"model": "anthropic:c"},
    )
    told = given.of("judge")
    assert (told.api_key, told.base_url) == (None, None)
    assert given.of("analyst").api_key == SecretStr("of-openai")


def test_a_summary_is_cooler_than_a_design_unless_it_is_told_otherwise() -> None:
    assert settings(temperature=0.9).of("summarizer").temperature == 0.1
    assert settings(summarizer={"temperature": 0.5}).of("summarizer").temperature == 0.5
    assert settings(temperature=0.9).of("researcher").temperature == 0.9


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("JUDGE_TEMPERATURE", "hot", "MOVE37_JUDGE_TEMPERATURE: Input should be a valid number"),
        ("JUDGE_EFFORT", "heroic", "MOVE37_JUDGE_EFFORT"),
        ("JUDGE_COLOUR", "red", "unknown variable MOVE37_JUDGE_COLOUR"),
        ("JANITOR_MODEL", "openai:m", "unknown variable MOVE37_JANITOR_MODEL"),
        ("MODEL_TIMEOUT", "-1", "MOVE37_MODEL_TIMEOUT"),
        ("PROTOCOL", "telepathy", "MOVE37_PROTOCOL"),
    ],
)
def test_a_wrong_variable_is_named_with_its_fault(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, hint: str
) -> None:
    monkeypatch.setenv(f"MOVE37_{name}", value)
    with pytest.raises(UserError, match=hint) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_only_the_researcher_can_be_a_person() -> None:
    with pytest.raises(UserError, match="move37 mcp"):
        check_models(settings(researcher={"model": "external"}))
    with pytest.raises(UserError, match="only the researcher"):
        check_models(settings(judge={"model": "external"}))


def test_an_effort_that_a_provider_does_not_know_is_refused() -> None:
    pytest.importorskip("langchain_openai")
    with pytest.raises(UserError, match="no effort to set"):
        check_models(settings(model="ollama:m", effort="low"))
