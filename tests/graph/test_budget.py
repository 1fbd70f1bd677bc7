"""Campaigns under caps: they stop before a cap is passed, lose nothing, and go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from move37.agents.models.calls import JOURNAL, Total, read_calls, totals_of
from move37.agents.models.ledger import Ledger, Reservation
from move37.agents.models.prices import UNIT
from move37.graph.campaign import run_campaign
from move37.graph.lab import open_store
from move37.records import BudgetSpent, CampaignConfig, Caps, Experiment, Progress, UserError
from move37.settings import Settings
from tests.graph.records import Played, lasting


def spent(config: CampaignConfig, settings: Settings) -> Total:
    return totals_of(read_calls(settings.home / config.name / JOURNAL)).campaign


def archived(config: CampaignConfig, settings: Settings) -> list[Experiment]:
    with open_store(settings) as store:
        return store.experiments(config.name)


def priced(settings: Settings, folder: Path) -> Settings:
    """Return settings by which the offline model sends bills."""
    path = folder / "prices.toml"
    price = '"offline:" = { input = 20, output = 100 }'
    path.write_text(f'dated = 2026-01-01\nunit = "{UNIT}"\n[models]\n{price}\n')
    return settings.model_copy(update={"prices": path})


@pytest.mark.long
def test_a_campaign_that_is_stopped_by_its_cap_again_and_again_gives_the_undisturbed_record(
    played: Played, settings: Settings
) -> None:
    config = played.config.model_copy(update={"experiments": 2})
    stops, experiments = list[str](), list[Experiment]()
    for cap in (5, 10, 20, 40, 80):
        capped = config.model_copy(update={"caps": Caps(calls=cap)})
        try:
            experiments = run_campaign(capped, settings)
            break
        except BudgetSpent as met:
            stops.append(met.cap)
        assert spent(config, settings).calls <= cap
    assert len(stops) > 1
    assert set(stops) == {"calls"}
    assert lasting(experiments) == lasting(played.experiments[:2])


@pytest.mark.parametrize(
    "caps",
    [
        pytest.param(Caps(tokens=80_000), id="tokens", marks=pytest.mark.long),
        pytest.param(Caps(usd=2.0), id="usd", marks=pytest.mark.slow),
    ],
)
def test_neither_tokens_nor_money_pass_their_cap(
    caps: Caps, played: Played, settings: Settings, tmp_path: Path
) -> None:
    config = played.config.model_copy(update={"caps": caps})
    with pytest.raises(BudgetSpent):
        run_campaign(config, priced(settings, tmp_path))
    total = spent(config, settings)
    assert 0 < total.tokens <= (caps.tokens or total.tokens)
    assert 0 < total.usd <= (caps.usd or total.usd)
    assert total.assumed == 0
    assert len(archived(config, settings)) < config.experiments


@pytest.mark.slow
def test_what_one_experiment_cannot_pay_stops_it_alone_and_it_goes_on_where_it_was(
    played: Played, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str]] = []
    reserve = Ledger.reserve

    def refuse_the_first_judge(self: Ledger, **call: Any) -> Reservation:
        asked.append((call["experiment"], call["role"]))
        if refuse and call["experiment"] == 1 and call["role"] == "judge":
            raise BudgetSpent("one of one is spent", "usd")
        return reserve(self, **call)

    monkeypatch.setattr(Ledger, "reserve", refuse_the_first_judge)
    config, refuse = played.config.model_copy(update={"experiments": 4}), True
    with pytest.raises(BudgetSpent, match="one of one"):
        run_campaign(config, settings)
    assert lasting(archived(config, settings)) == lasting(played.experiments[1:2])
    assert {number for number, _ in asked} == {1, 2}
    asked.clear()
    refuse, config = False, config.model_copy(update={"experiments": 2})
    assert lasting(run_campaign(config, settings)) == lasting(played.experiments[:2])
    assert "researcher" not in {role for _, role in asked}


def test_behind_a_cap_no_experiment_begins(settings: Settings) -> None:
    config = CampaignConfig(name="c", tier="smoke", experiments=4, caps=Caps(calls=1))
    alone, seen = settings.model_copy(update={"slots": 1}), list[Progress]()
    with pytest.raises(BudgetSpent, match="1 of 1 calls are spent"):
        run_campaign(config, alone, seen.append)
    assert {one.experiment for one in seen} <= {0, 1}
    assert spent(config, settings).calls == 1


def test_a_cap_shapes_no_result_so_the_campaign_keeps_its_id(played: Played) -> None:
    assert played.config.model_copy(update={"caps": Caps(usd=1.0)}).id == played.config.id


def test_a_record_from_before_there_were_caps_has_none(played: Played) -> None:
    old = played.config.model_dump(mode="json", exclude={"caps"})
    assert CampaignConfig.from_record(old).caps == Caps()


@pytest.mark.parametrize("caps", [{"usd": 0}, {"usd": float("nan")}, {"tokens": 0}, {"calls": -1}])
def test_a_cap_that_allows_nothing_is_no_cap(caps: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="caps"):
        CampaignConfig.model_validate({"name": "c", "caps": caps})


def test_money_is_not_capped_where_it_cannot_be_counted(settings: Settings) -> None:
    config = CampaignConfig(
        name="c", tier="smoke", models={"judge": "openai:my-own"}, caps=Caps(usd=1.0)
    )
    keyed = settings.model_validate(settings.model_dump() | {"judge": {"api_key": "none"}})
    with pytest.raises(UserError, match=r"cannot be counted for openai:my-own.*MOVE37_PRICES"):
        run_campaign(config, keyed)
    assert not (settings.home / "c").exists()
