"""Cassettes: what is played is what was recorded, and a file that is none is told in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from move37.agents.models.tape import Player, Recorder, digest
from move37.records import CampaignConfig, UserError, Weather
from tests.agents.scripted import calls

CONFIG = CampaignConfig(name="c", tier="smoke")
PLACE = ("1/researcher/0", 0)


def test_an_answer_is_played_as_it_was_recorded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "c.jsonl", CONFIG, resume=False)
    said = calls("write_code", code="x = 'ö'\n")
    recorder.keep(PLACE, "d", said)
    recorder.keep(("1/researcher/0", 1), "d", Weather("the model failed"))
    player = Player(tmp_path / "c.jsonl")
    assert player.config == CONFIG
    assert player.answer(PLACE, "d") == said
    with pytest.raises(Weather, match="the model failed"):
        player.answer(("1/researcher/0", 1), "d")
    assert player.differing == set()


def test_a_call_that_was_asked_otherwise_is_noted(tmp_path: Path) -> None:
    Recorder(tmp_path / "c.jsonl", CONFIG, resume=False).keep(PLACE, "then", AIMessage("a"))
    player = Player(tmp_path / "c.jsonl")
    player.answer(PLACE, "now")
    assert player.differing == {PLACE}


def test_a_call_that_was_not_recorded_is_for_the_user(tmp_path: Path) -> None:
    Recorder(tmp_path / "c.jsonl", CONFIG, resume=False)
    with pytest.raises(UserError, match="holds no call 1 of 1/researcher/0"):
        Player(tmp_path / "c.jsonl").answer(PLACE, "d")


def test_a_recording_that_was_killed_goes_on_behind_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    Recorder(path, CONFIG, resume=False).keep(PLACE, "d", AIMessage("first"))
    with path.open("a") as file:
        file.write('{"slot": "1/researcher/0", "call": 1, "mess')
    again = Recorder(path, CONFIG, resume=True)
    again.keep(PLACE, "d", AIMessage("second"))
    assert Player(path).answer(PLACE, "d").text == "second"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no cassette"),
        ("hello\n", "no cassette"),
        ("[1]\n", "no cassette"),
        ('{"kind": "other"}\n', "no cassette"),
        ('{"kind": "move37-cassette", "version": 99, "config": {}}\n', "has version 99"),
        ('{"kind": "move37-cassette", "version": 1, "config": {}}\n', "cannot be read"),
    ],
)
def test_a_file_that_is_no_cassette_is_told_in_one_line(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=told) as refused:
        Player(path)
    assert "\n" not in str(refused.value)


def test_a_missing_or_binary_file_is_told_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        Player(tmp_path / "absent.jsonl")
    (tmp_path / "c.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        Player(tmp_path / "c.jsonl")


def test_a_recording_never_overwrites_a_file_or_joins_another_campaign(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    Recorder(path, CONFIG, resume=False)
    with pytest.raises(UserError, match="the file exists"):
        Recorder(path, CONFIG, resume=False)
    with pytest.raises(UserError, match="another campaign"):
        Recorder(path, CONFIG.model_copy(update={"seed": 1}), resume=True)
    assert json.loads(path.read_text().splitlines()[0])["config"]["seed"] == 0


def test_the_digest_tells_the_beginning_of_a_conversation_and_not_the_times_in_it() -> None:
    begun = [SystemMessage("You are."), HumanMessage("Design.")]
    answered = [*begun, AIMessage("", tool_calls=[])]
    first = [*answered, ToolMessage("PASSED in 2.1 s", tool_call_id="1")]
    second = [*answered, ToolMessage("PASSED in 2.9 s", tool_call_id="1")]
    assert digest(first) == digest(second)
    assert digest(begun) != digest([begun[0], HumanMessage("Judge.")])
