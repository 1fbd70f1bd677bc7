"""The file of settings."""

from __future__ import annotations

from importlib import resources

import pytest

from move37.evaluation.skills.catalog import SKILLS
from move37.evaluation.skills.settings import load_skill_settings, parse_settings
from move37.records import UserError

SHIPPED = (resources.files("move37.evaluation") / "skills.toml").read_text()


def test_the_shipped_settings_are_those_of_the_catalogue_and_build_every_skill() -> None:
    settings = load_skill_settings()
    assert list(settings.skills) == list(SKILLS)
    for name, setting in settings.skills.items():
        assert SKILLS[name](setting, 1).train(0, 3).tokens.shape == (3, setting.length)


def test_the_smoke_tier_shortens_runs_and_keeps_the_tasks() -> None:
    settings = load_skill_settings()
    assert settings.at("laptop") == settings.skills
    for name, short in settings.at("smoke").items():
        assert short.steps == settings.rehearsal.steps
        assert short.length == settings.skills[name].length


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("alphabet = 32", "alphabet = 1", "skills.recall.alphabet"),
        ("steps = 4\n", "stops = 4\n", "rehearsal.steps"),
        ("rate = 6e-3", "rate = 0", "skills.recall.rate"),
        ("seeds = 3", "seeds = 1", "seeds"),
        ("seeds = 3", "seeds = = 1", "not valid TOML"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(old: str, new: str, place: str) -> None:
    assert old in SHIPPED
    with pytest.raises(UserError, match=place):
        parse_settings(SHIPPED.replace(old, new, 1), "skills.toml")
