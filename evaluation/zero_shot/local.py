"""Two tasks of our own, made of the held-out part of whatever text a tier is trained on.

`identifier_recall`: a passage of program text ends before a name that it has used already; which
of four names of the passage is it? Like LAMBADA (1606.06031), but a name that occurs in the context
is the answer by construction, so a design that carries no names forward stays near chance.
`closing`: a passage ends before a closing bracket; with which of three opening brackets in its
place does that one follow most likely? Only the passage differs between the choices, as in
WinoGrande, because a small model thinks `)` the likeliest bracket whatever was opened.

Passages lie apart from each other, or one row of a batch would tell what comes next in another.
Answers are as frequent at each place, so a blind guess gets the chance level: 1/4 and 1/3. In the
standard library one passage in twenty stands word for word in a training file too (licences,
tables, copied functions); all designs see the same ones.
"""

from __future__ import annotations

import hashlib
import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from move37.records import UserError

CHANCE = {"identifier_recall": 1 / 4, "closing": 1 / 3}
LEAST = 50
MOST = 1000
LONGEST = 512
NAME = re.compile(r"\b[A-Za-z_]\w{3,23}\b")
COMMON = frozenset({"self", *keyword.kwlist, *keyword.softkwlist})
CHOICES = 4
BRACKETS = {"(": ")", "[": "]", "{": "}"}
CLOSERS = tuple(BRACKETS.values())
# Less far apart, the last few characters decide.
SPAN = 8


@dataclass(frozen=True)
class Item:
    """A passage, the texts that may follow it, and which one does."""

    passage: str
    choices: tuple[str, ...]
    gold: int


@dataclass(frozen=True)
class Closing:
    """A passage with each opening bracket in turn, what closes it, and which one stood there."""

    passages: tuple[str, ...]
    closer: str
    gold: int


def identifier_recall(held_out: str, room: int, **_: object) -> dict[str, Any]:
    """Return the dataset for the harness; `room` is the model's limit in characters."""
    items = recall_items(held_out, room)
    rows = [{"passage": i.passage, "choices": list(i.choices), "gold": i.gold} for i in items]
    return _dataset("identifier_recall", rows)


def closing(held_out: str, room: int, **_: object) -> dict[str, Any]:
    """Return the dataset for the harness; `room` is the model's limit in characters."""
    items = closing_items(held_out, room)
    rows = [{"passages": list(i.passages), "closer": i.closer, "gold": i.gold} for i in items]
    return _dataset("closing", rows)


def _dataset(name: str, rows: Sequence[dict[str, object]]) -> dict[str, Any]:
    import pyarrow
    from datasets import Dataset

    if len(rows) < LEAST:
        raise UserError(
            f"{name}: the held-out text gives {len(rows)} items, {LEAST} are needed; it is made "
            "for program text, so choose other --tasks"
        )
    name = hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
    # Without a name it would pickle half of pyarrow to make one, which fails with pyarrow 26.
    return {"test": Dataset(pyarrow.Table.from_pylist(rows), fingerprint=name)}


def recall_items(text: str, room: int) -> list[Item]:
    """Return items of `identifier_recall`: four names of like length, the answer at each place.

    A passage begins at a line, is ASCII, and with its name is at most `room` characters long. No
    two items have the same four names.
    """
    found: list[Item] = []
    seen: set[frozenset[str]] = set()
    end = 0
    for match in NAME.finditer(text):
        begin = _line_start(text, max(end, match.end() - min(room, LONGEST)))
        passage = text[begin : match.start()]
        others = _alternatives(passage, match.group()) if passage.isascii() else None
        # Tables repeat the same names many times.
        if others is None or (same := frozenset({match.group(), *others})) in seen:
            continue
        seen.add(same)
        found.append(Item(passage, (match.group(), *others), 0))
        end = match.end()
    found.sort(key=_order)
    return [_placed(item, number % CHOICES) for number, item in enumerate(found[:MOST])]


def _alternatives(passage: str, answer: str) -> tuple[str, ...] | None:
    """Return the other names of the passage whose length is nearest, if the answer is one of it."""
    # By first occurrence: the order of a set would differ from process to process.
    names = dict.fromkeys(m.group() for m in NAME.finditer(passage))
    if answer in COMMON or answer not in names:
        return None
    others = [n for n in names if n not in COMMON and not _overlap(n, answer)]
    others.sort(key=lambda name: abs(len(name) - len(answer)))
    return tuple(others[: CHOICES - 1]) if len(others) >= CHOICES - 1 else None


def _overlap(one: str, other: str) -> bool:
    """Whether one is the beginning of the other, so that its likelihood is no smaller."""
    return one.startswith(other) or other.startswith(one)


def _placed(item: Item, place: int) -> Item:
    answer, *others = item.choices
    return _trimmed(Item(item.passage, (*others[:place], answer, *others[place:]), place))


def _trimmed(item: Item) -> Item:
    """Move white space at the end of a passage to the choices, where a tokenizer expects it."""
    passage = item.passage.rstrip()
    space = item.passage[len(passage) :]
    return Item(passage, tuple(space + choice for choice in item.choices), item.gold)


def closing_items(text: str, room: int) -> list[Closing]:
    """Return items of `closing`, as many of each kind, the kinds in turn.

    Each passage holds the opening bracket, `SPAN` characters before its end or more.
    """
    kinds: dict[str, list[Closing]] = {closer: [] for closer in CLOSERS}
    taken: list[tuple[int, int]] = []
    # The rarest kind first, so that the others do not take its places.
    for closer in sorted(CLOSERS, key=text.count):
        for begin, opened, stop in _closed(text, closer, min(room, LONGEST)):
            if len(kinds[closer]) < MOST and not _touches(taken, begin, stop + 1):
                taken.append((begin, stop + 1))
                kinds[closer].append(_closing(text, begin, opened, stop))
    groups = [sorted(items, key=_order) for items in kinds.values()]
    return [item for group in zip(*groups, strict=False) for item in group]


def _touches(taken: Sequence[tuple[int, int]], begin: int, end: int) -> bool:
    return any(begin < last and first < end for first, last in taken)


def _closing(text: str, begin: int, opened: int, stop: int) -> Closing:
    passage = text[begin:stop].rstrip()
    before, after = passage[: opened - begin], passage[opened - begin + 1 :]
    return Closing(
        passages=tuple(before + bracket + after for bracket in BRACKETS),
        closer=text[begin + len(passage) : stop + 1],
        gold=CLOSERS.index(text[stop]),
    )


def _order(item: Item | Closing) -> bytes:
    """Return a number that orders items without regard to where they stood."""
    passage = item.passage if isinstance(item, Item) else item.passages[item.gold]
    return hashlib.sha256(passage.encode()).digest()


def _closed(text: str, closer: str, room: int) -> Iterator[tuple[int, int, int]]:
    """Yield where passages begin, and where their last open bracket and what closes it stand."""
    for match in re.finditer(re.escape(closer), text):
        stop = match.start()
        begin = _line_start(text, max(0, stop + 1 - room))
        passage = text[begin:stop]
        opened = _last_open(passage) if passage.isascii() else None
        if opened is None or BRACKETS[passage[opened]] != closer:
            continue
        if len(passage) - opened > SPAN:
            yield begin, begin + opened, stop


def _last_open(passage: str) -> int | None:
    """Return where the last bracket stands that is still open; None if they do not match."""
    open_at: list[int] = []
    for place, character in enumerate(passage):
        if character in BRACKETS:
            open_at.append(place)
        elif character in CLOSERS and (
            not open_at or BRACKETS[passage[open_at.pop()]] != character
        ):
            return None
    return open_at[-1] if open_at else None


def _line_start(text: str, place: int) -> int:
    """Return the first beginning of a line at or behind a place."""
    if place == 0 or text[place - 1] == "\n":
        return place
    found = text.find("\n", place)
    return len(text) if found < 0 else found + 1
