"""What fits into a prompt: tokens are counted, and what is worth least gives way first."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

# What a role is told before it has called a tool: instructions, message and descriptions of tools.
PROMPT_TOKENS = 24_000
# Kept free for the descriptions of a role's tools and of its answer, which providers send as text.
TOOL_TOKENS = 2_000
# Two texts that are joined may cost a token or two more than apart.
_SEAM = 2


class Form(NamedTuple):
    """One way to tell something; what is worth least is told more briefly first."""

    text: str
    worth: int


@dataclass(frozen=True)
class Section:
    """A part of a message in its forms, from the fullest to the briefest, which always stays."""

    forms: tuple[Form, ...]


def always(text: str) -> Section:
    """Return a section that is never told more briefly."""
    return Section((Form(text, 0),))


def pack(sections: Sequence[Section], budget: int) -> list[str]:
    """Return one form of each section, so that together they keep to a budget of tokens.

    As long as they do not, the form that is worth least gives way to the next one of its section;
    of equal worth, the longest. What still fits at the end comes back, what is worth most first.
    When every section is at its briefest, the result may be longer than the budget: what must be
    told is told.
    """
    at = [0] * len(sections)
    costs = [_cost(section, 0) for section in sections]

    def shorter() -> list[int]:
        return [p for p, section in enumerate(sections) if at[p] + 1 < len(section.forms)]

    def worth(place: int) -> tuple[int, int]:
        return sections[place].forms[at[place]].worth, -costs[place]

    while sum(costs) > budget and (places := shorter()):
        place = min(places, key=worth)
        at[place] += 1
        costs[place] = _cost(sections[place], at[place])
    while back := _that_fit(sections, at, budget - sum(costs)):
        place = max(back, key=lambda p: sections[p].forms[at[p] - 1].worth)
        at[place] -= 1
        costs[place] = _cost(sections[place], at[place])
    return [section.forms[step].text for section, step in zip(sections, at, strict=True)]


def _that_fit(sections: Sequence[Section], at: Sequence[int], room: int) -> list[int]:
    """Return the sections that can be told one step more fully in so much room."""
    return [
        place
        for place, section in enumerate(sections)
        if at[place] and _cost(section, at[place] - 1) - _cost(section, at[place]) <= room
    ]


def _cost(section: Section, step: int) -> int:
    return tokens(section.forms[step].text) + _SEAM


@lru_cache(maxsize=512)
def tokens(text: str) -> int:
    """Return how many tokens a text has by the tokenizer that comes with the embedding model.

    It is the byte-pair encoding of Llama 2, 32,000 entries: 2.8 characters of Python code a token,
    4 of English. Encodings with 100,000 entries and more, those of most models today, join longer
    words and indentation and count fewer, so for them this is an upper bound. Encodings of GPT-2's
    kind, with a token for each space of an indentation, may count more of code, and any of them
    more of scripts that it knows badly.
    """
    return len(_tokenizer().encode(text, add_special_tokens=False).ids)


@cache
def _tokenizer() -> Tokenizer:
    # Found without importing the package, which takes more than a second.
    found = find_spec("wordllama")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "tokenizers"
    return Tokenizer.from_file(str(folder / "l2_supercat_tokenizer_config.json"))


def difference(old: str, new: str, names: tuple[str, str]) -> str | None:
    """Return the unified diff of two programs, or None where it is no shorter than the new one."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm="")
    diff = "\n".join(lines)
    return diff if diff and len(diff) < len(new) else None
