"""The estimate before a campaign: from earlier calls where there are any, and within its caps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from move37.agents.models.calls import JOURNAL, Call, Total, append
from move37.agents.models.expenses import (
    TYPICAL,
    Expected,
    expected,
    journals_of,
    require_prices,
    seen,
)
from move37.agents.models.prices import UNIT, load_prices
from move37.records import CampaignConfig, Caps, UserError
from move37.settings import ROLES, Settings

PRICES = load_prices()
MODEL = "openai:gpt-4.1"
GRAMMAR = "offline:grammar"


def config(caps: Caps | None = None, **models: str) -> CampaignConfig:
    named = dict.fromkeys(ROLES, GRAMMAR) | models
    return CampaignConfig(name="c", models=named, caps=caps or Caps())


def call(number: int, experiment: int, role: str = "researcher", **more: Any) -> Call:
    told: dict[str, Any] = {"input_tokens": 1_000, "output_tokens": 100, "usd": 0.1, "ok": True}
    fixed: dict[str, Any] = {"call": f"c{number}", "at": "", "model": MODEL, "chars": 3_000}
    return Call(role=role, experiment=experiment, **(fixed | told | more))


def estimate(experiments: int = 8, usd: float | None = 4.0) -> Expected:
    return Expected(
        experiments=experiments, calls=80, read=900_000, written=100_000, usd=usd, seen=True
    )


def test_every_role_has_a_typical_need() -> None:
    assert set(TYPICAL) == set(ROLES)


def test_a_campaign_of_the_built_in_model_has_no_estimate() -> None:
    assert expected(config(), 8, [], PRICES) is None
    assert expected(config(researcher="external"), 8, [], PRICES) is None


def test_without_earlier_campaigns_typical_turns_are_priced() -> None:
    found = expected(config(judge=MODEL), 10, [], PRICES)
    need = TYPICAL["judge"]
    assert found is not None
    assert not found.seen
    assert found.calls == pytest.approx(10 * need.calls)
    assert (found.read, found.written) == (10 * need.read, 10 * need.written)
    assert found.usd == pytest.approx(10 * (need.read * 2 + need.written * 8) / 1e6, rel=1e-3)


def test_a_model_without_a_price_has_tokens_and_no_money() -> None:
    found = expected(config(judge=MODEL, analyst="openai:my-own"), 4, [], PRICES)
    assert found is not None
    assert found.usd is None
    assert "no price known" in found.told(Caps(), Total())


def test_earlier_calls_of_the_same_model_in_the_same_role_count() -> None:
    journal = [call(1, 1), call(2, 1), call(3, 2), call(4, 3, role="judge")]
    others = [call(5, 1, model=GRAMMAR), call(6, 2, model=GRAMMAR)]
    need = seen("researcher", MODEL, [journal, others])
    assert need is not None
    assert (need.calls, need.read, need.written) == (1.0, 1_000.0, 100.0)
    assert seen("analyst", MODEL, [journal, others]) is None


def test_answers_from_a_cache_and_failed_calls_are_no_measure() -> None:
    spared = [call(1, 1, source="cache"), call(3, 0)]
    assert seen("researcher", MODEL, [spared]) is None
    need = seen("researcher", MODEL, [[call(1, 1), call(2, 1, ok=False)]])
    assert need is not None
    assert need.calls == 1.0


def test_the_estimate_follows_what_was_seen() -> None:
    journal = [call(n, 1 + n // 5, cached_tokens=400) for n in range(10)]
    found = expected(config(researcher=MODEL), 3, [journal], PRICES)
    assert found is not None
    assert found.seen
    assert (found.calls, found.read, found.written) == (15.0, 15_000.0, 1_500.0)
    assert found.usd == pytest.approx(15 * (600 * 2 + 400 * 0.5 + 100 * 8) / 1e6)


@pytest.mark.parametrize(
    ("caps", "spent", "allowed"),
    [
        ({}, {}, None),
        ({"usd": 2.0}, {}, 4),
        ({"usd": 2.0}, {"usd": 1.5}, 1),
        ({"usd": 2.0, "calls": 25}, {}, 2),
        ({"tokens": 500_000}, {"input_tokens": 250_000}, 2),
        ({"calls": 10}, {"calls": 12}, 0),
    ],
)
def test_the_caps_allow_what_is_left_of_them(
    caps: dict[str, Any], spent: dict[str, Any], allowed: int | None
) -> None:
    assert estimate().within(Caps(**caps), Total(**spent)) == allowed


def test_money_that_cannot_be_counted_allows_nothing_to_be_said() -> None:
    assert estimate(usd=None).within(Caps(usd=2.0), Total()) is None


def test_the_line_says_how_far_the_caps_reach_only_where_they_do_not_suffice() -> None:
    line = estimate().told(Caps(usd=2.0), Total())
    assert line == (
        "8 experiments: about 80 calls, 900,000 tokens in and 100,000 out, about $4.00, "
        "as in earlier campaigns; the caps allow about 4"
    )
    assert "caps" not in estimate().told(Caps(usd=20.0), Total())


def test_the_journals_of_a_home_are_those_of_its_campaigns(tmp_path: Path) -> None:
    for name in ("a", "b"):
        append(tmp_path / name / JOURNAL, call(1, 1, role=name))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / JOURNAL).write_text('{"call":"of another version"}\n')
    assert [[one.role for one in journal] for journal in journals_of(tmp_path)] == [["a"], ["b"]]
    assert journals_of(tmp_path / "absent") == []


def test_capped_money_asks_for_a_price_of_each_model_and_fall_back(tmp_path: Path) -> None:
    settings = Settings.model_validate({"judge": {"fallbacks": "openai:mine, openai:gpt-5"}})
    capped = config(Caps(usd=1.0), researcher=MODEL)
    with pytest.raises(UserError, match=r"cannot be counted for openai:mine: .*MOVE37_PRICES"):
        require_prices(capped, settings)
    require_prices(config(Caps(tokens=9)), settings)
    own = tmp_path / "own.toml"
    free = '"openai:mine" = { input = 0, output = 0 }'
    own.write_text(f'dated = 2026-01-01\nunit = "{UNIT}"\n[models]\n{free}\n')
    require_prices(capped, settings.model_copy(update={"prices": own}))


def test_a_price_file_with_a_mistake_is_refused_whether_money_is_capped_or_not(
    tmp_path: Path,
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('dated = 2026-01-01\nunit = "EUR"\n')
    with pytest.raises(UserError, match="unit = 'EUR'"):
        require_prices(config(), Settings(prices=own))
