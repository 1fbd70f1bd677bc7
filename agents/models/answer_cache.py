"""Answers of models that are asked at temperature 0, kept by what was asked."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.messages import AIMessage, message_to_dict, messages_from_dict
from langchain_core.outputs import ChatGeneration, Generation


class AnswerCache(BaseCache):
    """LangChain's cache in one SQLite file; processes may share it."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make it where it is missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with self._open() as connection, connection:
            connection.execute("create table if not exists answers (k text primary key, v text)")

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Return what a model of these settings answered to this prompt, or None."""
        with self._open() as connection:
            found = connection.execute(
                "select v from answers where k = ?", (_key(prompt, llm_string),)
            ).fetchone()
        if found is None:
            return None
        return [_read(one) for one in json.loads(found[0])]

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Keep an answer."""
        value = json.dumps([_told(one) for one in return_val])
        with self._open() as connection, connection:
            connection.execute(
                "insert or replace into answers values (?, ?)", (_key(prompt, llm_string), value)
            )

    def clear(self, **_: Any) -> None:  # noqa: ANN401 - the interface has it
        """Forget everything."""
        with self._open() as connection, connection:
            connection.execute("delete from answers")

    def _open(self) -> closing[sqlite3.Connection]:
        # A connection a call: calls come from many threads, and take seconds where they miss.
        return closing(sqlite3.connect(self._path, timeout=30))


def _key(prompt: str, llm_string: str) -> str:
    return hashlib.sha256(f"{llm_string}\0{prompt}".encode()).hexdigest()


def _told(one: Generation) -> dict[str, Any]:
    if isinstance(one, ChatGeneration):
        return {"message": message_to_dict(one.message)}
    return {"text": one.text, "info": one.generation_info}


def _read(told: dict[str, Any]) -> Generation:
    if "message" not in told:
        return Generation(text=told["text"], generation_info=told["info"])
    (message,) = messages_from_dict([told["message"]])
    assert isinstance(message, AIMessage)
    return ChatGeneration(message=message)
