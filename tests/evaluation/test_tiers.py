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
    with pytest.raises(UserError, match=r"laptop, smoke"):
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
    ],
)
def test_a_wrong_value_is_named_with_its_place(old: str, new: str, place: str) -> None:
    with pytest.raises(UserError, match=place):
        parse_tier(SMOKE.replace(old, new, 1), "mine")


def test_a_rate_that_is_not_the_best_of_its_sweep_is_refused() -> None:
    worse = SMOKE.replace("rate = ", "rate = 1", 1)
    with pytest.raises(UserError, match="best of the sweep"):
        parse_tier(worse, "mine")
