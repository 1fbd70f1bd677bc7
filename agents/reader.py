"""The reader: makes cognitions of a user's own paper or note."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, Field, ValidationError

from move37.agents.briefs import ReaderBrief
from move37.agents.run import run_agent
from move37.memory.intake import Source, slug
from move37.memory.library import Entry, Paper
from move37.records import TokenUse, Weather

CALLS = 4


class Reading(BaseModel):
    """What a model made of a text; the facts that are known beforehand replace its own."""

    title: str = Field(min_length=3, max_length=300)
    first_author: str = Field(min_length=2, max_length=120)
    year: int = Field(ge=1950, le=2100)
    venue: str = Field(min_length=2, max_length=120, description="journal, conference, or 'note'")
    family: str = Field(description="one of the families that are listed")
    cognition: tuple[Entry, ...] = Field(min_length=1, max_length=3)


def read(source: Source, model: BaseChatModel) -> tuple[Paper, TokenUse]:
    """Return the paper that a model made of a text.

    Raises:
        Weather: no answer could be had, or none that keeps to the schema.
        UserError: the provider refuses.
    """
    brief = ReaderBrief(name=source.name, facts=dict(source.facts), text=source.text)
    reading, use = run_agent(model, brief, Reading, (), CALLS)
    values = {"arxiv_id": "", **reading.model_dump(), **source.facts}
    try:
        return Paper.model_validate(values | {"id": slug(str(values["title"]))}), use
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        told = f"the reader's answer breaks the schema: {where}: {first['msg']}"
        raise Weather(told, (use,)) from None
