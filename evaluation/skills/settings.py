"""The settings of the skills: one TOML file, checked."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from pydantic import Field, ValidationError

from move37.records import Finite, UserError, Value


class Setting(Value):
    """How one skill is trained and tested.

    `length` and `test_length` are tokens of a row, `held_out` rows of the test; `alphabet` is the
    number of values, letters, states or names (the generators say which).
    """

    steps: int = Field(ge=1)
    rows: int = Field(ge=1)
    length: int = Field(ge=6)
    test_length: int = Field(ge=6)
    held_out: int = Field(ge=2)
    rate: Finite = Field(gt=0)
    alphabet: int = Field(ge=2, le=1024)


class Rehearsal(Value):
    """What takes the place of the same settings at the tier `smoke`."""

    steps: int = Field(ge=1)
    rows: int = Field(ge=1)
    held_out: int = Field(ge=2)


class Settings(Value):
    """The whole file; `seeds` is how many seeds a skill is trained at unless one says otherwise."""

    seeds: int = Field(ge=2)
    rehearsal: Rehearsal
    skills: dict[str, Setting]

    def at(self, tier: str) -> dict[str, Setting]:
        """Return the settings of all skills at a tier."""
        if tier != "smoke":
            return self.skills
        short = self.rehearsal.model_dump()
        return {name: s.model_copy(update=short) for name, s in self.skills.items()}


def parse_settings(text: str, source: str) -> Settings:
    """Check the text of a settings file.

    Raises:
        UserError: it is not TOML, or a value is missing, unknown or out of range.
    """
    try:
        return Settings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{source} is not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise UserError(f"{source}, {place}: {first['msg']}") from None


@cache
def load_skill_settings() -> Settings:
    """Read the settings that are shipped."""
    file = resources.files("move37.evaluation") / "skills.toml"
    return parse_settings(file.read_text(), "skills.toml")
