"""A cassette: every call of a campaign's models with its answer, to play the campaign again.

A JSONL file. Its first line holds the version and the campaign's configuration; each other line is
one call: the conversation that it belongs to, its place in it, a digest of what was asked, and the
answer, or the trouble that was met instead. A call that was made again after a kill stands twice;
the last one counts.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, message_to_dict, messages_from_dict
from pydantic import ValidationError

from move37.records import CampaignConfig, UserError, Weather, content_id

KIND, VERSION = "move37-cassette", 1
Place = tuple[str, int]


class Recorder:
    """Appends calls to a file, a line each as they come; safe to use from several threads."""

    def __init__(self, path: Path, config: CampaignConfig, *, resume: bool) -> None:
        """Begin a cassette, or go on with one.

        Raises:
            UserError: the file exists and is no cassette of this campaign, or cannot be written.
        """
        self._path, self._lock = path, threading.Lock()
        if path.exists():
            if not resume:
                raise UserError(f"--record {path}: the file exists; remove it or name another")
            if Player(path).config.id != config.id:
                raise UserError(f"--record {path}: the file holds another campaign")
            self._end_last_line()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = config.model_dump(mode="json")
        self._append({"kind": KIND, "version": VERSION, "config": stored})

    def keep(self, place: Place, asked: str, answer: AIMessage | Weather) -> None:
        """Keep the answer to one call, or the trouble."""
        told: dict[str, Any] = {}
        if isinstance(answer, Weather):
            told["weather"] = str(answer)
        else:
            told["message"] = message_to_dict(answer)
        self._append({"slot": place[0], "call": place[1], "asked": asked, **told})

    def _end_last_line(self) -> None:
        """A killed process may have left half a line, which the next one must not continue."""
        with self._path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")

    def _append(self, line: dict[str, Any]) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class Player:
    """Answers calls from a cassette; notes those that were asked otherwise at the recording."""

    def __init__(self, path: Path) -> None:
        """Read a cassette.

        Raises:
            UserError: the file cannot be read, is no cassette, or one of another version.
        """
        self._path, self._lock = path, threading.Lock()
        try:
            first, *rest = path.read_text("utf-8").splitlines()
            header = json.loads(first)
        except FileNotFoundError:
            raise UserError(f"cassette {path}: no such file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cassette {path} cannot be read: {error}") from None
        except ValueError:
            raise UserError(f"cassette {path}: the file is no cassette") from None
        self.config = _config_of(path, header)
        self._calls = dict(_told(rest))
        self.differing: set[Place] = set()

    def answer(self, place: Place, asked: str) -> AIMessage:
        """Return what was answered at this place of the recording.

        Raises:
            Weather: the model could not be had then either.
            UserError: the recording holds no such call.
        """
        told = self._calls.get(place)
        if told is None:
            raise UserError(
                f"cassette {self._path} holds no call {place[1] + 1} of {place[0]}: the campaign "
                "has taken another way than at the recording, or the recording was not finished"
            )
        if told["asked"] != asked:
            with self._lock:
                self.differing.add(place)
        if "weather" in told:
            raise Weather(told["weather"])
        (message,) = messages_from_dict([told["message"]])
        assert isinstance(message, AIMessage)
        return message


@dataclass(frozen=True)
class Tape:
    """What a campaign is recorded on, or played from; by default neither."""

    recorder: Recorder | None = None
    player: Player | None = None


def digest(messages: Sequence[BaseMessage]) -> str:
    """Return a digest of what a conversation began with; what tools told holds times."""
    first = [m.text for m in messages if not isinstance(m, AIMessage)][:2]
    return content_id(first)


def _config_of(path: Path, header: Any) -> CampaignConfig:  # noqa: ANN401 - whatever the file says
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise UserError(f"cassette {path}: the file is no cassette")
    if header.get("version") != VERSION:
        raise UserError(
            f"cassette {path} has version {header.get('version')}; this program plays version "
            f"{VERSION}: record it anew"
        )
    try:
        return CampaignConfig.model_validate(header["config"])
    except (KeyError, ValidationError):
        raise UserError(f"cassette {path}: its campaign cannot be read; record it anew") from None


def _told(lines: Sequence[str]) -> list[tuple[Place, dict[str, Any]]]:
    found = []
    for line in lines:
        try:
            told = json.loads(line)
            found.append(((str(told["slot"]), int(told["call"])), told))
        except (ValueError, KeyError):
            # The line that a killed process was writing; a resumed one has written it again.
            continue
    return found
