"""Prices: which name has which, what a call costs, and files that users write."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from move37.agents.models.prices import UNIT, Long, Price, PriceList, Prices, load_prices
from move37.records import UserError

OURS = load_prices()


def write(path: Path, models: str, unit: str = UNIT, dated: str = "2026-01-31") -> Path:
    path.write_text(f'dated = {dated}\nunit = "{unit}"\n[models]\n{models}\n')
    return path


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("openai:gpt-5", "gpt-5"),
        ("gpt-5", "gpt-5"),
        ("openai:gpt-5-2025-08-07", "gpt-5"),
        ("azure_openai:gpt-4.1-2025-04-14", "gpt-4.1"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("openai:gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("openrouter:openai/gpt-5", "gpt-5"),
        ("openrouter:anthropic/claude-sonnet-4.6", "claude-sonnet-4-6"),
        ("google_vertexai:claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("google_genai:gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("groq:openai/gpt-oss-120b", "groq:openai/gpt-oss-120b"),
        (
            "bedrock_converse:us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "us.anthropic.claude-haiku-4-5",
        ),
        ("bedrock_converse:openai.gpt-oss-120b-1:0", "openai.gpt-oss-120b"),
        ("ollama:qwen3:8b", "ollama:"),
        ("offline:grammar", "offline:"),
    ],
)
def test_a_model_has_the_price_of_the_longest_name_that_it_is_an_edition_of(
    model: str, listed: str
) -> None:
    (shipped,) = OURS.lists
    assert OURS.of(model) == shipped.models[listed]


@pytest.mark.parametrize(
    "model",
    ["openai:gpt-5-turbo", "openai:gpt", "openai:my-own", "vllm:gpt-5x", "grammar", "", "openai:"],
)
def test_another_model_with_a_similar_name_has_no_price(model: str) -> None:
    assert OURS.of(model) is None


def test_the_shipped_list_says_when_it_was_true_and_covers_the_providers() -> None:
    (shipped,) = OURS.lists
    assert shipped.dated >= date(2026, 1, 1)
    for part in ("gpt-", "claude-", "gemini-", "mistral-", "deepseek-", "grok-", "anthropic."):
        assert any(name.startswith(part) for name in shipped.models), part


def test_every_name_of_the_shipped_list_has_its_own_price() -> None:
    (shipped,) = OURS.lists
    for name, price in shipped.models.items():
        assert OURS.of(name) == price


def test_a_call_costs_its_fresh_its_cached_and_its_written_tokens() -> None:
    price = Price(input=2.0, cached_input=0.5, cache_write=2.5, output=10.0)
    assert price.of(1_000_000, 0) == 2.0
    assert price.of(0, 1_000_000) == 10.0
    usd = price.of(1_000_000, 100_000, cached=600_000, kept=100_000)
    assert usd == pytest.approx(0.3 * 2 + 0.6 * 0.5 + 0.1 * 2.5 + 0.1 * 10)


def test_cached_input_without_a_price_of_its_own_costs_what_all_does() -> None:
    price = Price(input=2.0, output=10.0)
    assert price.of(1_000_000, 0, cached=900_000) == pytest.approx(2.0)


def test_a_long_call_has_its_own_rates_for_all_of_its_tokens() -> None:
    price = Price(
        input=2.0, cached_input=0.2, output=10.0, long=Long(above=200_000, input=4.0, output=15.0)
    )
    assert price.of(200_000, 1_000_000) == pytest.approx(0.4 + 10.0)
    assert price.of(200_001, 1_000_000) == pytest.approx(0.800004 + 15.0)
    assert price.of(1_000_000, 0, cached=1_000_000) == pytest.approx(0.4)


rates = st.floats(min_value=0, max_value=100, allow_nan=False)
tokens = st.integers(min_value=0, max_value=400_000)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    into, out = draw(rates), draw(rates)
    above = Long(above=200_000, input=into * 2, output=out * 1.5)
    return Price(
        input=into,
        cached_input=draw(st.none() | rates),
        cache_write=draw(st.none() | rates),
        output=out,
        long=draw(st.sampled_from((None, above))),
    )


@given(prices(), tokens, tokens, st.data())
def test_no_call_within_a_bound_costs_more_than_the_bound(
    price: Price, read: int, written: int, data: st.DataObject
) -> None:
    real = data.draw(st.integers(0, read))
    cached = data.draw(st.integers(0, real))
    kept = data.draw(st.integers(0, real - cached))
    answered = data.draw(st.integers(0, written))
    assert price.of(real, answered, cached, kept) <= price.at_most(read, written) * (1 + 1e-9)


def test_a_file_of_the_user_goes_before_the_shipped_list(tmp_path: Path) -> None:
    own = write(
        tmp_path / "own.toml",
        '"gpt-5" = { input = 7, output = 8 }\n"openai:local" = { input = 0, output = 0 }',
    )
    found = load_prices(own)
    assert found.of("openai:gpt-5-2025-08-07") == Price(input=7, output=8)
    assert found.of("openai:local") == Price(input=0, output=0)
    assert found.of("openai:gpt-5-mini") == OURS.of("openai:gpt-5-mini")


def test_a_provider_of_the_user_has_one_price_for_all_its_models(tmp_path: Path) -> None:
    found = load_prices(write(tmp_path / "own.toml", '"openai:" = { input = 1, output = 1 }'))
    assert found.of("openai:gpt-5") == Price(input=1, output=1)
    assert found.of("azure_openai:gpt-5") == OURS.of("gpt-5")


ONE = '"m" = { input = 1, output = 2 }'


@pytest.mark.parametrize(
    ("models", "unit", "dated", "said"),
    [
        (ONE, "USD per token", "2026-01-31", "unit = 'USD per token'.*'USD per million tokens'"),
        (ONE, "EUR per million tokens", "2026-01-31", "unit = 'EUR per million tokens'"),
        (ONE, UNIT, '"soon"', "dated"),
        ('"m" = { input = -1, output = 2 }', UNIT, "2026-01-31", "models.m.input"),
        ('"m" = { input = nan, output = 2 }', UNIT, "2026-01-31", "models.m.input"),
        ('"m" = { input = 1 }', UNIT, "2026-01-31", "models.m.output"),
        ('"m" = { input = 1, output = 2, per = "day" }', UNIT, "2026-01-31", "models.m.per"),
        (
            '"m" = { input = 1, output = 2, long = { above = 9, input = 0.5, output = 2 } }',
            UNIT,
            "2026-01-31",
            "below the ordinary",
        ),
        ("m = ", UNIT, "2026-01-31", "cannot be read"),
    ],
)
def test_a_price_file_with_a_mistake_is_named_with_it_in_one_line(
    tmp_path: Path, models: str, unit: str, dated: str, said: str
) -> None:
    path = write(tmp_path / "own.toml", models, unit, dated)
    with pytest.raises(UserError, match=said) as told:
        load_prices(path)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


def test_a_price_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent.toml cannot be read"):
        load_prices(tmp_path / "absent.toml")


def test_a_list_alone_knows_only_its_own() -> None:
    alone = Prices((PriceList(dated=date(2026, 1, 1), unit=UNIT, models={}),))
    assert alone.of("openai:gpt-5") is None
