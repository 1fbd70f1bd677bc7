"""The papers of the cognition base: one TOML file a paper, checked against its schema."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator

from move37.memory.vocabulary import MECHANISMS
from move37.records import Cognition, UserError, Value

PAPERS = Path(__file__).parent / "papers"

Sentence = Annotated[str, Field(min_length=40, max_length=4000)]


class Entry(Value):
    """One lesson of a paper.

    `scenario` words the symptom as an analyst would; `algorithm` is plain mathematics with cost
    and state size, enough to write the code; `context` says why it works and where it does not.
    """

    scenario: Sentence
    algorithm: Sentence
    context: Sentence


class Paper(Value):
    """One paper and its lessons; `mechanisms` are tags of `memory/vocabulary.py`."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,39}$")
    arxiv_id: str = Field(pattern=r"^(\d{4}\.\d{4,5})?$")
    title: str = Field(min_length=3)
    first_author: str = Field(min_length=2)
    year: int = Field(ge=1950, le=2100)
    venue: str = Field(min_length=2)
    family: str = Field(min_length=2)
    mechanisms: tuple[str, ...]
    cognition: tuple[Entry, ...] = Field(min_length=1, max_length=3)

    @field_validator("mechanisms")
    @classmethod
    def _known(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [tag for tag in tags if tag not in MECHANISMS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no tag of memory/vocabulary.py")
        return tags

    def cognitions(self) -> tuple[Cognition, ...]:
        """Return the lessons as values; their ids count from 1 within the paper."""
        return tuple(
            Cognition(
                id=f"{self.id}-{place}",
                paper_id=self.id,
                title=self.title,
                year=self.year,
                family=self.family,
                scenario=_flow(entry.scenario),
                algorithm=entry.algorithm.strip(),
                context=_flow(entry.context),
                mechanisms=self.mechanisms,
            )
            for place, entry in enumerate(self.cognition, start=1)
        )


def load_paper(path: Path) -> Paper:
    """Read one paper.

    Raises:
        UserError: the file cannot be read, or breaks the schema.
    """
    try:
        paper = Paper.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {where}: {first['msg']}") from None
    if paper.id != path.stem:
        raise UserError(f"{path}: its id is {paper.id!r}: name the file {paper.id}.toml")
    return paper


def load_library(folder: Path = PAPERS) -> tuple[Paper, ...]:
    """Read all papers of a folder, by name of file."""
    return tuple(load_paper(path) for path in sorted(folder.glob("*.toml")))


def _flow(text: str) -> str:
    return " ".join(text.split())
