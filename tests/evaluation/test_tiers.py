"""Tier files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from move37.evaluation.tiers import load_tier, parse_tier
from move37.records import UserError

SMOKE = (resources.files("move37.evaluation") / "tiers" / "smoke.toml").read_text()


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_the_shipped_tiers_are_valid_and_use_the_best_rate_of_their_sweep(name: str) -> None:
    tier = load_tier(name)
    assert tier.name == name
    for task in (tier.text, tier.recall):
        best = min(task.sweep, key=lambda rate: task.sweep[rate])
        assert task.rate == float(best)
        assert len(task.sweep) >= 3


def test_an_unknown_tier_names_those_that_exist() -> None:
    with pytest.raises(UserError, match=r"smoke, laptop, gpu, paper-explore, paper-verify"):
        load_tier("cluster")


def test_an_unreadable_tier_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_tier(str(tmp_path / "absent.toml"))
    broken = tmp_path / "broken.toml"
    broken.write_text("layers = = 2")
    with pytest.raises(UserError, match="not valid TOML"):
        load_tier(str(broken))


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("layers = 2", "layers = 0", "layers"),
        ("layers = 2", "layer = 2", "layers"),
        ("steps = 40", 'steps = "many"', "text.steps"),
        ("warmup_share = 0.1", "warmup_share = 0.5", "warmup_share"),
        ("rates = [0.333, 1.0, 3.0]", "rates = [0.333, 3.0]", "promotion.rates"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(old: str, new: str, place: str) -> None:
    with pytest.raises(UserError, match=place):
        parse_tier(SMOKE.replace(old, new, 1), "mine")


def test_a_rate_that_is_not_the_best_of_its_sweep_is_refused() -> None:
    worse = SMOKE.replace("rate = ", "rate = 1", 1)
    with pytest.raises(UserError, match="best of the sweep"):
        parse_tier(worse, "mine")


@pytest.mark.parametrize("name", ["gpu", "paper-explore", "paper-verify"])
def test_a_tier_that_nobody_measured_says_where_its_rates_come_from(name: str) -> None:
    tier = load_tier(name)
    for task in (tier.text, tier.recall):
        assert task.rate_source in ("paper", "unmeasured")
        assert task.rate_origin
        assert not task.sweep
        assert task.tau_source == "assumed"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rate = 3e-2", 'rate = 3e-2\nrate_source = "paper"', "has no sweep"),
        ("vocabulary = 256", "vocabulary = 512", "text as bytes has a vocabulary of 256"),
        ("heads = 2", "heads = 3", "cannot be split over 3 heads"),
        ("rows = 4", "rows = 4\nparts = 3", "equal parts"),
        ("[text]", '[data]\nkind = "dataset"\npath = "x"\n[text]', "data.tokens"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_tier(SMOKE.replace(old, new, 1), "mine")


def test_a_rate_without_sweep_or_origin_is_refused() -> None:
    start, end = SMOKE.index("[text.sweep]"), SMOKE.index("[recall]")
    bare = SMOKE[:start] + SMOKE[end:]
    with pytest.raises(UserError, match="needs a sweep"):
        parse_tier(bare, "mine")
    with pytest.raises(UserError, match="needs a rate_origin"):
        parse_tier(bare.replace("rate = ", 'rate_source = "unmeasured"\nrate = ', 1), "mine")


def test_files_that_a_tier_names_stand_beside_its_own_file(tmp_path: Path) -> None:
    text = SMOKE.replace(
        "[text]", '[data]\nkind = "dataset"\npath = "json"\nfiles = ["a.jsonl"]\ntokens = 9\n[text]'
    )
    path = tmp_path / "own.toml"
    path.write_text(text)
    assert load_tier(str(path)).data.model_dump()["files"] == (str(tmp_path / "a.jsonl"),)
