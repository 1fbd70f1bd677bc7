"""`move37 tiers` and tiers of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from move37.cli import app, tiers
from move37.evaluation import estimate
from move37.evaluation.tiers import load_tier, shipped_tiers
from move37.records import UserError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOVE37_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MOVE37_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(estimate, "gpus", list)
    folder = tmp_path / "home" / "tiers"
    folder.mkdir(parents=True)
    return folder


def own(home: Path, name: str, inside: str) -> None:
    text = shipped_tiers()["smoke"].read_text().replace('name = "smoke"', f'name = "{inside}"')
    (home / f"{name}.toml").write_text(text)


def test_every_tier_is_shown_with_memory_and_time_or_why_there_is_none(home: Path) -> None:
    own(home, "mine", "mine")
    done = CliRunner().invoke(app, ["tiers", "--json"])
    assert done.exit_code == 0, done.output
    told = {each["name"]: each for each in json.loads(done.output)}
    assert list(told) == [*shipped_tiers(), "mine"]
    assert told["mine"]["estimate"]["time"]["seconds"] > 0
    assert told["mine"]["estimate"]["memory_bytes"] > 1 << 28
    assert told["gpu"]["estimate"]["obstacle"].startswith("tier gpu needs CUDA")
    assert told["gpu"]["text"]["rate_source"] == "unmeasured"
    assert told["gpu"]["estimate"]["time"] == {"kind": "untimed", "reason": "cannot run here"}


def test_one_tier_is_shown_whole(home: Path) -> None:
    done = CliRunner().invoke(app, ["tiers", "gpu"])
    assert "HuggingFaceFW/fineweb-edu sample-10BT train, 80M tokens of a BPE of 8192" in done.output
    assert "rate of gpu not measured: between" in done.output


def test_a_tier_of_ones_own_must_be_named_as_its_file_and_like_no_other(home: Path) -> None:
    own(home, "mine", "other")
    with pytest.raises(UserError, match="calls itself 'other'"):
        load_tier("mine")
    own(home, "laptop", "laptop")
    with pytest.raises(UserError, match="has the name of a shipped tier"):
        load_tier("laptop")


@pytest.mark.usefixtures("home")
def test_finalists_of_a_tier_have_its_larger_budget() -> None:
    short, final = load_tier("paper-verify"), load_tier("paper-verify-final")
    assert final.text.steps == 15 * short.text.steps
    assert final.data.model_dump()["tokens"] == 15_000_000_000
    assert final.digest != short.digest
    with pytest.raises(UserError, match="no budget of its own"):
        load_tier("smoke-final")


@pytest.mark.parametrize(
    ("seconds", "told"), [(4.21, "4.2 s"), (190, "3 min 10 s"), (7510, "2 h 5 min")]
)
def test_durations_are_written_for_people(seconds: float, told: str) -> None:
    assert tiers.duration(seconds) == told
