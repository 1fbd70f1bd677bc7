"""Figures in what an agent writes, held against the record that it was shown.

A figure is supported when it equals, at the precision at which it is written, a figure that was
shown outside of any fence, or what follows from two like figures of the record: their difference,
ratio or percent change, or a multiple of the seed noise. Hopes and quotations measure nothing: what
stands in a fence or is called expected supports a figure only where the words around it call it
that, and a literal of the code supports none beside words for a result. Not compared: signs, for a
gain is a negative change of the loss, and what a figure is said to be of.
"""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import StringIO
from itertools import permutations

from move37 import syntax
from move37.agents.checks.numerals import Numeral, Unit, numerals

STRUCK = "[figure struck: not in the record]"
PRINTED = 4  # decimals with which losses are shown
TOLD = 12  # figures in a complaint
NEAR = 300  # characters of a sentence on either side of a figure that count as its own
LEAST_COUNT = 100  # whole numbers below it are counts and names
YEARS = range(1980, 2031)
ROOT_2 = 2.0**0.5  # by which a difference of two runs is noisier than one
MULTIPLES = (ROOT_2, 2.0, 2.0 * ROOT_2, 3.0)  # of an SD, as rules of thumb name them

Told = tuple[Unit, float]

_SENTENCE = re.compile(r"[^\n]+?(?:[.!?](?=\s)|(?=\n)|$)")
_BREAK = re.compile(r"[,;()\n]|\b(?:and|but|while|whereas|so|because|though|although)\b")
_HOPED = r"expect|hope|hoping|predict|forecast|promis|claim|anticipat|hypothes"
_HOPE = re.compile(rf"\b(?:{_HOPED})\w*(?P<between>[^,;()]*)$", re.I)
_HOPED_AFTER = re.compile(
    rf"\s*(?:nats?(?: per token)?|SDs?)?\s*(?:that |which )?(?:was|were|is|are|had been)?\s*"
    rf"(?:{_HOPED})\w*",
    re.I,
)
_HAPPENED = re.compile(
    r"\b(?:fell|rose|reached|measured|achieved|actual\w*|got|came|result\w*)\b", re.I
)
_HOPED_WORDS = 7  # between a word of hope and its figure
_QUOTED = re.compile(
    r"\b(?:logs?|errors?|messages?|reasons?|fail\w*|stage|exception|traceback|gates?|checks?|limits?"
    r"|papers?|authors?|motivation|says?|said|reports?|reported)\b",
    re.I,
)
_RESULT = re.compile(
    r"\b(?:loss|losses|gain\w*|nats?|fitness|accurac\w+|perplexit\w+|recall|SDs?|noise|better|worse"
    r"|improv\w+|curves?|scores?)\b",
    re.I,
)
_RATIO = re.compile(r"\b(?:ratio|factor|times|fraction|share)\b", re.I)
_NOISE = re.compile(r"\b(?:SDs?|sigmas?|noise|standard deviations?|z)\b|\u03c3", re.I)
# How a quantity is called where it is not by the first word of its name.
_CALLED = {
    "parameters": r"parameter|size|weights",
    "mixer_parameters": r"parameter|size|weights",
    "flops_per_token": r"flop|operations|cost|compute",
    "state_bytes": r"state|bytes|memory",
}
_COUNTED = re.compile(
    r"\s*-?(?:steps?|tokens?|parameters?|bytes?|seconds?|flops?|rows|samples|examples|runs?|nats?)",
    re.I,
)
_NATS = re.compile(r"\s*nats?\b", re.I)
_OPENS = re.compile(r'<untrusted source="[^"]*">|(?P<ticks>`{3,})python')
_EXPERIMENT = re.compile(
    r"(?:\b(?:experiments?|numbers?|siblings?|candidates?|no\.)\s|#)\s*$", re.I
)


# --- what was shown -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """The figures that an agent was shown, by what they may support.

    `measured` stand in our own words, `quoted` in fences or beside a word of hope, `literals` in
    code; percentages are among them as shares. `alike` are figures of one quantity, by its name,
    which may be compared; `noise` is the SD of one run of it, where that is known. `numbers` are
    the experiments that were shown.
    """

    measured: frozenset[Told]
    quoted: frozenset[Told] = frozenset()
    literals: frozenset[Told] = frozenset()
    alike: Mapping[str, Sequence[float]] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)
    numbers: frozenset[int] = frozenset()

    def reckoned(self, place: Place) -> Iterator[float]:
        """Yield what may be reckoned from like figures, in the unit of a figure."""
        unit, sentence = place.numeral.unit, place.sentence
        pairs = [
            pair for name in self.alike if _meant(name, sentence) for pair in self._pairs(name)
        ]
        if unit == "%":
            yield from (100.0 * part for a, b in pairs for part in (a / b, a / b - 1.0))
        if unit == "x" or (not unit and _RATIO.search(place.clause)):
            yield from (ROOT_2, *(a / b for a, b in pairs))
        if unit == "SD" or _NOISE.search(sentence):
            yield from self._in_noise(sentence)
        if not unit:
            yield from (a - b for a, b in pairs)
            yield from (times * sd for times in MULTIPLES for sd in self.noise.values())

    def _in_noise(self, sentence: str) -> Iterator[float]:
        """Yield differences in SDs of one run, and of a difference of two."""
        for name, sd in self.noise.items():
            for a, b in self._pairs(name) if _meant(name, sentence) else ():
                yield from ((a - b) / sd, (a - b) / (ROOT_2 * sd))

    def _pairs(self, name: str) -> Iterator[tuple[float, float]]:
        group = self.alike.get(name, ())
        # As they are, and as they were shown: either may have been reckoned with.
        for values in (set(group), {round(one, PRINTED) for one in group}):
            yield from ((a, b) for a, b in permutations(values, 2) if b)


def _meant(name: str, sentence: str) -> bool:
    """Whether a sentence may speak of a quantity: the loss on text goes without saying."""
    word = _CALLED.get(name, name.partition(" ")[0])
    return name in ("text", "gain") or re.search(word, sentence, re.I) is not None


def record_of(
    texts: Iterable[str],
    alike: Mapping[str, Sequence[float]],
    noise: Mapping[str, float],
    numbers: Iterable[int],
) -> Record:
    """Return the figures of what an agent was shown, and of what it may reckon with."""
    measured: set[Told] = set()
    quoted: set[Told] = set()
    literals: set[Told] = set()
    for kind, block in (one for text in texts for one in _blocks(text)):
        if kind == "code":
            literals |= {("", value) for value in _literals(block)}
            continue
        for place in _places(block):
            if place.is_name:
                continue
            hoped = kind == "fence" or place.is_hoped
            (quoted if hoped else measured).add(_told(place.numeral))
    return Record(
        measured=frozenset(measured),
        quoted=frozenset(quoted),
        literals=frozenset(literals),
        alike=alike,
        noise={name: sd for name, sd in noise.items() if sd > 0},
        numbers=frozenset(numbers),
    )


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a message: `ours`, a `fence` or `code`, each without its marks.

    Read line by line as they were written: nothing inside a fence ends it but its own last line,
    and inside a block of code a longer row of backticks than any in it (`move37.tools`).
    """
    kind, end, lines = "ours", "", list[str]()
    for line in text.splitlines():
        opened = _OPENS.fullmatch(line) if kind == "ours" else None
        if opened or (end and line == end):
            yield kind, "\n".join(lines)
            lines = []
            ticks = opened["ticks"] if opened else None
            kind = ("code" if ticks else "fence") if opened else "ours"
            end = (ticks or "</untrusted>") if opened else ""
        else:
            lines.append(line)
    yield kind, "\n".join(lines)


def _literals(code: str) -> Iterator[float]:
    """Yield the numbers of code, without its comments and texts."""
    with suppress(tokenize.TokenError, SyntaxError):
        for token in tokenize.generate_tokens(StringIO(code).readline):
            if token.type == tokenize.NUMBER:
                yield abs(_number(token.string))


def _number(literal: str) -> complex:
    (statement,) = syntax.parse(literal).body
    assert isinstance(statement, ast.Expr)
    number: complex = ast.literal_eval(statement.value)
    return number


def _told(numeral: Numeral) -> Told:
    """Return a figure as it counts: a percentage as a share."""
    share = numeral.unit == "%"
    return ("", numeral.value / 100.0) if share else (numeral.unit, numeral.value)


# --- what was written ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A figure in its sentence: the words of its clause before it and after it."""

    numeral: Numeral
    sentence: str
    before: str
    after: str

    @property
    def clause(self) -> str:
        """The words around the figure."""
        return f"{self.before} {self.numeral.text} {self.after}"

    @property
    def is_hoped(self) -> bool:
        """Whether the words beside it call it expected, not measured."""
        if _HOPED_AFTER.match(self.after):
            return True
        hope = _HOPE.search(self.before)
        if hope is None or _HAPPENED.search(hope["between"]):
            return False
        return len(hope["between"].split()) <= _HOPED_WORDS

    @property
    def is_name(self) -> bool:
        """Whether it counts or names something, so that there is nothing to measure."""
        numeral = self.numeral
        if not numeral.whole or numeral.unit == "x":
            return False
        if numeral.unit == "%":
            return numeral.value in (0.0, 100.0)
        if _NATS.match(self.after):
            return False
        year = numeral.value in YEARS and not _COUNTED.match(self.after)
        return numeral.value < LEAST_COUNT or (year and not numeral.unit)


def _places(text: str) -> Iterator[Place]:
    for sentence in _SENTENCE.finditer(text):
        found = list(numerals(sentence[0]))
        for at, one in enumerate(found):
            start = found[at - 1].end if at else 0
            stop = found[at + 1].start if at + 1 < len(found) else len(sentence[0])
            before = _BREAK.split(sentence[0][start : one.start])[-1]
            after = _BREAK.split(sentence[0][one.end : stop])[0]
            near = sentence[0][max(0, one.start - NEAR) : one.end + NEAR]
            moved = replace(one, start=one.start + sentence.start(), end=one.end + sentence.start())
            yield Place(moved, " ".join(near.split()), before, after)


def unsupported(text: str, record: Record) -> list[Place]:
    """Return the figures of a text that the record does not bear out, in order."""
    return [place for place in _places(text) if not _is_supported(place, record)]


def objection(texts: Iterable[str], record: Record) -> str | None:
    """Return which figures are not in the record, each with its sentence; None where all are."""
    wrong = [place for text in texts for place in unsupported(text, record)]
    if not wrong:
        return None
    told = [f"- {one.numeral.text} in: {one.sentence[:300]}" for one in wrong[:TOLD]]
    more = [f"- and {len(wrong) - TOLD} more"] if len(wrong) > TOLD else []
    return "\n".join(["These figures are not in the record:", *told, *more])


def strike(text: str, record: Record) -> str:
    """Return a text with each figure replaced that the record does not bear out."""
    for place in reversed(unsupported(text, record)):
        text = f"{text[: place.numeral.start]}{STRUCK}{text[place.numeral.end :]}"
    return text


def _is_supported(place: Place, record: Record) -> bool:
    numeral = place.numeral
    if numeral.whole and _EXPERIMENT.search(place.before):
        return numeral.value == 0 or numeral.value in record.numbers
    if place.is_name or _equals(numeral, record.measured):
        return True
    if any(numeral.agrees(value) for value in record.reckoned(place)):
        return True
    if _equals(numeral, record.quoted) and place.is_hoped:
        return True
    if _RESULT.search(place.clause):
        return False
    told = _equals(numeral, record.quoted) and _QUOTED.search(place.sentence) is not None
    return told or _equals(numeral, record.literals)


def _equals(numeral: Numeral, known: Iterable[Told]) -> bool:
    unit, scale = ("", 100.0) if numeral.unit == "%" else (numeral.unit, 1.0)
    return any(told == unit and numeral.agrees(scale * value) for told, value in known)
