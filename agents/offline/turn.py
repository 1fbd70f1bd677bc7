"""Where a conversation with the offline model stands, and what it does next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Done:
    """One tool call that was answered; the artifact is what the tool gave beside its text."""

    name: str
    arguments: dict[str, Any]
    text: str
    artifact: Any

    @property
    def failure(self) -> str | None:
        """The reason why a check or a short run failed, or None."""
        told = self.artifact
        if not isinstance(told, dict) or told.get("passed", True):
            return None
        return str(told.get("reason") or self.text)


@dataclass(frozen=True)
class Turn:
    """The brief as data, the names of the offered tools, and the calls since the brief."""

    brief: dict[str, Any]
    tools: tuple[str, ...]
    done: tuple[Done, ...]

    def calls(self, name: str) -> tuple[Done, ...]:
        """Return the answered calls of one tool."""
        return tuple(done for done in self.done if done.name == name)

    def since(self, name: str) -> tuple[Done, ...]:
        """Return what was answered after the last call of one tool."""
        places = [at for at, done in enumerate(self.done) if done.name == name]
        return self.done[places[-1] + 1 :] if places else ()


@dataclass(frozen=True)
class Call:
    """A tool to call, or the structured answer, which is a tool too."""

    name: str
    arguments: dict[str, Any]
