"""A campaign that was recorded runs again from the cassette alone, and comes to the same record."""

from __future__ import annotations

from pathlib import Path

import pytest

from move37.agents.models.tape import Player, Recorder, Tape
from move37.graph.campaign import run_campaign
from move37.graph.lab import complete
from move37.records import CampaignConfig, Experiment, UserError
from move37.settings import Settings
from tests.agents.openai_server import Offline, serving
from tests.graph.records import lasting


def replay(tape: Path, home: Path, cache: Path) -> tuple[list[Experiment], Player]:
    """Play a cassette in a folder of its own, with no provider configured."""
    player = Player(tape)
    settings = Settings(_env_file=None, home=home, cache=cache)
    return run_campaign(player.config, settings, tape=Tape(player=player)), player


def record(
    config: CampaignConfig, tape: Path, home: Path, cache: Path, patch: pytest.MonkeyPatch
) -> list[Experiment]:
    """Run a campaign with a provider on the loopback, and keep every call."""
    with serving(Offline(patch)) as provider:
        settings = provider.settings(home=home, cache=cache, isolation="auto")
        config = complete(config, settings)
        recorder = Recorder(tape, config, resume=False)
        return run_campaign(config, settings, tape=Tape(recorder=recorder))


@pytest.mark.slow
def test_a_campaign_is_played_again_without_the_provider_that_it_had(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CampaignConfig(name="taped", tier="smoke", experiments=2, seed=3)
    tape = tmp_path / "tape.jsonl"
    first = record(config, tape, tmp_path / "first", cache, monkeypatch)
    again, player = replay(tape, tmp_path / "second", cache)
    assert [e.status for e in first] == ["scored", "scored"]
    assert lasting(again) == lasting(first)
    assert player.differing == set()
    assert {use.model for e in again for use in e.usage} == {"local-1"}
    # What is played costs nothing.
    assert not (tmp_path / "second" / "taped" / "calls.jsonl").exists()


@pytest.mark.long
def test_eight_experiments_come_to_the_same_record_twice(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CampaignConfig(name="taped", tier="smoke", experiments=8, seed=5)
    tape = tmp_path / "tape.jsonl"
    first = record(config, tape, tmp_path / "first", cache, monkeypatch)
    second, _ = replay(tape, tmp_path / "second", cache)
    third, _ = replay(tape, tmp_path / "third", cache)
    assert len(first) == 8
    assert lasting(first) == lasting(second) == lasting(third)


def test_a_cassette_that_ends_too_early_is_told_to_the_user(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CampaignConfig(name="taped", tier="smoke", experiments=1, seed=3)
    tape = tmp_path / "tape.jsonl"
    record(config, tape, tmp_path / "first", cache, monkeypatch)
    tape.write_text("".join(tape.read_text().splitlines(keepends=True)[:3]))
    with pytest.raises(UserError, match="holds no call"):
        replay(tape, tmp_path / "second", cache)
