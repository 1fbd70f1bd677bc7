"""The papers of the cognition base: one TOML file a paper, checked against its schema."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError, field_validator

from move37.memory.vocabulary import FAMILIES, MECHANISMS, PRACTICES
from move37.records import Cognition, UserError, Value

PAPERS = Path(__file__).parent / "papers"

Place = Annotated[str, StringConstraints(pattern=r"^(op|template|fla):[A-Za-z][A-Za-z0-9_]*$")]


Observation = Annotated[str, StringConstraints(min_length=30, max_length=300)]


class Entry(Value):
    """One lesson of a paper.

    `scenario` words the symptom as an analyst would, and `seen_as` are other observations in which
    the same weakness shows; `algorithm` is plain mathematics with cost
    and state size, enough to write the code; `context` says what it improved on, where it fails and
    what followed. `mechanisms` are tags of `memory/vocabulary.py`; `try_with` names where it can be
    tried: `op:` and `template:` of ours, `fla:` a public name of fla-core.
    """

    scenario: str = Field(min_length=60, max_length=500)
    seen_as: tuple[Observation, ...] = Field(default=(), max_length=6)
    algorithm: str = Field(min_length=120, max_length=2400)
    context: str = Field(min_length=60, max_length=1200)
    mechanisms: tuple[str, ...] = Field(min_length=1, max_length=8)
    try_with: tuple[Place, ...] = Field(default=(), max_length=6)

    @field_validator("mechanisms")
    @classmethod
    def _known(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [tag for tag in tags if tag not in MECHANISMS and tag not in PRACTICES]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no tag of memory/vocabulary.py")
        return tags


class Paper(Value):
    """One paper and its lessons; `confidence` is that of the facts above them."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,39}$")
    arxiv_id: str = Field(pattern=r"^(\d{4}\.\d{4,5})?$")
    title: str = Field(min_length=3)
    first_author: str = Field(min_length=2)
    year: int = Field(ge=1950, le=2100)
    venue: str = Field(min_length=2)
    family: str
    confidence: Literal["high", "medium"] = "high"
    cognition: tuple[Entry, ...] = Field(min_length=1, max_length=3)

    @field_validator("family")
    @classmethod
    def _known(cls, family: str) -> str:
        if family not in FAMILIES:
            raise ValueError(f"{family!r} is none of {', '.join(FAMILIES)}")
        return family

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
                seen_as=entry.seen_as,
                algorithm=entry.algorithm.strip(),
                context=_flow(entry.context),
                mechanisms=entry.mechanisms,
                try_with=entry.try_with,
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


def load_library(*folders: Path) -> tuple[Paper, ...]:
    """Read all papers of some folders, by name of file; without an argument, those of Move37.

    Raises:
        UserError: a paper cannot be read, breaks the schema, or has the id of another one.
    """
    papers: dict[str, Paper] = {}
    for path in (file for folder in folders or (PAPERS,) for file in sorted(folder.glob("*.toml"))):
        paper = load_paper(path)
        if paper.id in papers:
            raise UserError(f"{path}: another paper has the id {paper.id!r}: rename this one")
        papers[paper.id] = paper
    return tuple(papers.values())


def _flow(text: str) -> str:
    return " ".join(text.split())
