"""What models wrap around the code that they send, and the code without it.

The argument of a tool often holds more than code: a Markdown fence, the marks of a diff, the line
numbers of a listing, escapes that were escaped twice. Each step takes one such thing off where its
sign is plain. Nothing is decided here: the caller gets every form, the least changed first, and
takes the first that fits.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

from move37 import syntax

# Forms of one text; an honest one has two or three.
MOST_FORMS = 32

Pair = tuple[str, str]
Form = TypeVar("Form", bound=Hashable)

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})([^`]*)$")
_INLINE = re.compile(r"\A\s*(`+)(?:python |py )?([^`\n]+)\1\s*\Z")
_FENCE_LINE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[ \t]*[\w+-]*[ \t]*$\n?", re.M)
_TAGGED = re.compile(
    r"\A\s*<(code|pre|python|search|replace|(?:old|new)(?:_str|_string|_code)?)>[ \t]*\n?"
    r"(.*?)\n?[ \t]*</\1>\s*\Z",
    re.S | re.I,
)
_MARKER = re.compile(r"^(?:<{5,}|={5,}|>{5,})[ \t]*\w*[ \t]*$\n?", re.M)
_DIFF_HEAD = re.compile(
    r"@@|--- \S|\+\+\+ \S|diff --git |index [0-9a-f]{6}|\*\*\* [A-Z]|\\ No newline"
)
_NUMBERED = re.compile(r"^[ \t]*\d{1,5}(?:[ \t]*[|:→]|\t)(.*)$")
_CODE_STARTS = re.compile(r"^(?:import |from |class |@|\"\"\"|#)", re.M)
_TITLE = re.compile(r"^class TokenMixer\b", re.M)

_ENTITIES = {
    "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#34;": '"', "&#39;": "'", "&#x27;": "'",
    "&apos;": "'", "&nbsp;": " ", "&amp;": "&",
}  # fmt: skip
_LOOKALIKES = str.maketrans(
    dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
    | dict.fromkeys("\u2018\u2019\u201a\u201b", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
    | dict.fromkeys("\u00a0\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))), " ")
    # The full-width forms of ASCII.
    | {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
)
_UNSEEN = str.maketrans(dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""))


class Reading(NamedTuple):
    """An edit as it may have been meant, and what was taken off to read it so."""

    old: str
    new: str
    without: tuple[str, ...] = ()


@lru_cache(maxsize=64)
def unparsed(code: str) -> str | None:
    """Return where and why a file is not Python, or None where it is."""
    try:
        stray = _stray_return(syntax.parse(code))
    except SyntaxError as error:
        return f"line {error.lineno or 0}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or type(error).__name__
    return f"line {stray}: 'return' outside function" if stray else None


def _stray_return(tree: ast.Module) -> int | None:
    """Return the line of a `return` in no function: the parser lets it pass, the compiler not."""
    nodes: list[ast.AST] = [tree]
    for node in nodes:
        if isinstance(node, ast.Return):
            return node.lineno
        if not isinstance(node, ast.FunctionDef | ast.expr):
            nodes += ast.iter_child_nodes(node)
    return None


def plain(text: str) -> str:
    """Return a text of the same length with ASCII for typographic quotes, dashes and blanks."""
    return text.translate(_LOOKALIKES)


def readings(old: str, new: str) -> list[Reading]:
    """Return the forms in which an edit may have been meant, the given one first."""
    return [Reading(*pair, without) for pair, without in _forms((old, new), _PAIR_STEPS)]


def whole_file(text: str) -> Reading:
    """Return, as `new`, the file that a text holds: the least changed form that is a mixer.

    Where no form defines TokenMixer the first that parses is meant, and where none parses the
    longest block; Markdown fences outside of a string are in none.
    """
    forms = _forms(text, _FILE_STEPS)
    sound = [form for form in forms if unparsed(form[0]) is None]
    found = next((form for form in sound if _TITLE.search(form[0])), None)
    if found is None:
        found = sound[0] if sound else max(forms[:1] + forms, key=_likeness)
        if not sound and _FENCE_LINE.search(found[0]):
            found = _FENCE_LINE.sub("", found[0]), (*found[1], "Markdown fences")
    return Reading("", found[0], found[1])


def _likeness(form: tuple[str, tuple[str, ...]]) -> tuple[bool, bool, int]:
    """Rank forms that do not parse: with the class, without a fence, the longest."""
    text, _ = form
    return bool(_TITLE.search(text)), not _FENCE_LINE.search(text), len(text)


def _forms(
    given: Form, steps: Sequence[tuple[str, Callable[[Form], Iterable[Form]]]]
) -> list[tuple[Form, tuple[str, ...]]]:
    """Return the given form and what every choice of steps makes of it, fewest steps first."""
    found: dict[Form, tuple[str, ...]] = {given: ()}
    for name, step in steps:
        for form, without in list(found.items()):
            for other in step(form):
                if len(found) < MOST_FORMS:
                    found.setdefault(other, (*without, name))
    return sorted(found.items(), key=lambda item: len(item[1]))


def _each(strip: Callable[[str], str]) -> Callable[[Pair], Iterable[Pair]]:
    """Apply a step for one text to both sides of an edit."""
    return lambda pair: [(strip(pair[0]), strip(pair[1]))]


def _blocks(text: str) -> list[str]:
    """Return what stands in Markdown fences; a fence without its pair parts the text in two."""
    inside, rows = [], text.split("\n")
    opened: tuple[str, int] | None = None
    for n, row in enumerate(rows):
        mark = _FENCE.match(row)
        if mark and opened is None:
            opened = (mark[1], n + 1)
        elif mark and opened and mark[1].startswith(opened[0]) and not mark[2].strip():
            inside.append("\n".join(rows[opened[1] : n]))
            opened = None
    if opened:
        before = [] if inside else ["\n".join(rows[: opened[1] - 1])]
        inside += [*before, "\n".join(rows[opened[1] :])]
    inline = _INLINE.match(text)
    return [part for part in inside if part.strip()] or ([inline[2]] if inline else [])


def _unfenced(text: str) -> str:
    """Return the only fenced block."""
    inside = _blocks(text)
    return inside[0] if len(inside) == 1 else text


def _fenced_files(text: str) -> Iterator[str]:
    """Return each block; a docstring may hold fences, so also from the first to the last."""
    lines = list(_FENCE_LINE.finditer(text))
    if len(lines) > 2:
        yield text[lines[0].end() : lines[-1].start()]
    yield from (f"{block}\n" for block in _blocks(text))


def _untagged(text: str) -> str:
    """Return what stands between <code> and </code> and the like, nested ones too."""
    found = _TAGGED.match(text)
    return _untagged(found[2]) if found else text


def _unescaped(text: str) -> str:
    r"""Return a text whose line ends or quotes were escaped twice: \n is two characters in it."""
    if ("\n" in text or "\\n" not in text) and '\\"' not in text:
        return text
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')


def _from_json(text: str) -> Iterator[str]:
    """Return the string that a JSON string holds, or the longest one in a JSON object."""
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return
    inside = value.values() if isinstance(value, dict) else [value]
    yield from sorted((v for v in inside if isinstance(v, str)), key=len)[-1:]


def _unquoted(pair: Pair) -> Iterator[Pair]:
    """Read two JSON strings; a quoted `old` beside a bare `new` is a string of the program."""
    old, new = (list(_from_json(text)) for text in pair)
    if old and (new or not pair[1].strip()):
        yield old[0], new[0] if new else ""


def _unblocked(pair: Pair) -> Iterator[Pair]:
    """Read one SEARCH/REPLACE block, or take its markers off both sides."""
    blocks = [_block(text) for text in pair]
    for block, text, other in ((blocks[0], *pair), (blocks[1], *pair[::-1])):
        if block and other.strip() in ("", text.strip(), *(side.strip() for side in block)):
            yield block
    if not any(blocks):
        yield _MARKER.sub("", pair[0]), _MARKER.sub("", pair[1])


def _block(text: str) -> Pair | None:
    """Return both sides of the only SEARCH/REPLACE block of a text."""
    rows = text.split("\n")
    marks = [(row[0], n) for n, row in enumerate(rows) if _MARKER.match(row)]
    if [sign for sign, _ in marks] != ["<", "=", ">"]:
        return None
    (_, start), (_, middle), (_, end) = marks
    return "\n".join(rows[start + 1 : middle]), "\n".join(rows[middle + 1 : end])


class _Sides(NamedTuple):
    """A diff: the text before and after it, and the marks that its lines begin with."""

    before: str
    after: str
    marks: frozenset[str]


def _sides(text: str, extra: int) -> _Sides | None:
    """Read a diff; `extra` columns more than the mark stand before the code of marked lines."""
    rows = [row for row in text.split("\n") if not _DIFF_HEAD.match(row)]
    marks = frozenset(row[0] for row in rows if row.strip())
    if not (marks & {"+", "-"} and marks <= {"+", "-", " ", "\t"}):
        return None
    if extra > 0 and any(row[:1] in ("+", "-") and row[1:2].strip() for row in rows):
        return None
    before, after = (
        "\n".join(_unmarked(row, extra) for row in rows if row[:1] != other) for other in "+-"
    )
    return _Sides(before, after, marks)


def _unmarked(row: str, extra: int) -> str:
    """Return a line of a diff without its mark."""
    if row[:1] in ("+", "-"):
        return row[1 + extra :] if extra >= 0 else " " + row[1:]
    # Models forget the blank before lines that stay; code is indented by even widths.
    odd = (len(row) - len(row.lstrip(" "))) % 2
    return row[odd:]


def _undiffed(pair: Pair) -> Iterator[Pair]:
    """Read a whole diff in one side, or a `-` side and a `+` side."""
    for extra in (0, 1, -1):
        left, right = (_sides(text, extra) for text in pair)
        for sides, text, other in ((left, *pair), (right, *pair[::-1])):
            inside = (sides.before, sides.after, text) if sides and "+" in sides.marks else ()
            if sides and any(other.strip() in side for side in inside):
                yield sides.before, sides.after
        # Beside a side without marks a line that begins with a minus may be code.
        olds = {"-", " ", "\t"} if right else {"-"}
        news = {"+", " ", "\t"} if left else {"+"}
        if (left is None or left.marks <= olds) and (right is None or right.marks <= news):
            yield left.before if left else pair[0], right.after if right else pair[1]


def _unnumbered(text: str, *, partly: bool = False) -> str:
    """Return a listing without its line numbers; unless `partly`, every line must have one."""
    rows = [(row, _NUMBERED.match(row)) for row in text.split("\n")]
    if not partly and not all(found for row, found in rows if row.strip()):
        return text
    bodies = [found[1] for _, found in rows if found and found[1].strip()]
    # One blank or tab may stand after the number; code is indented by even widths.
    tab = all(body.startswith("\t") for body in bodies)
    cut = int(tab or all((len(body) - len(body.lstrip(" "))) % 2 for body in bodies))
    return "\n".join(found[1][cut:] if found else row for row, found in rows)


def _unlisted(pair: Pair) -> Iterator[Pair]:
    """Take line numbers off both sides; lines that are new may stand without one."""
    old = _unnumbered(pair[0])
    yield old, _unnumbered(pair[1], partly=old != pair[0])


def _characters(text: str) -> str:
    """Return a text with the characters that entities of HTML stand for."""
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return text


def _ascii(text: str) -> str:
    """Return a text without characters that are not seen, and ASCII for look-alikes."""
    return plain(text).translate(_UNSEEN)


def _trimmed(pair: Pair) -> Iterator[Pair]:
    """Take off the blanks around a piece of one line, and blank lines around several."""
    old, new = (text.strip("\r\n") for text in pair)
    yield (old, new) if "\n" in old else (old.strip(), new if "\n" in new else new.strip())


def _without_prose(text: str) -> Iterator[str]:
    """Cut the words before the first line of code, and those after the last indented one."""
    found = _CODE_STARTS.search(text)
    if found:
        lines = text[found.start() :].split("\n")
        yield "\n".join(lines)
        indented = [n for n, line in enumerate(lines) if line.strip() and line[0] in " \t"]
        yield "\n".join(lines[: max(indented, default=0) + 1]) + "\n"


_PAIR_STEPS: tuple[tuple[str, Callable[[Pair], Iterable[Pair]]], ...] = (
    ("JSON quotes", _unquoted),
    ("escapes", _each(_unescaped)),
    ("tags", _each(_untagged)),
    ("Markdown fences", _each(_unfenced)),
    ("SEARCH/REPLACE markers", _unblocked),
    ("diff marks", _undiffed),
    ("line numbers", _unlisted),
    ("HTML entities", _each(_characters)),
    ("typographic characters", _each(_ascii)),
    ("blanks around it", _trimmed),
)
_FILE_STEPS: tuple[tuple[str, Callable[[str], Iterable[str]]], ...] = (
    ("JSON quotes", _from_json),
    ("escapes", lambda text: [_unescaped(text)]),
    ("tags", lambda text: [_untagged(text)]),
    ("Markdown fences", _fenced_files),
    ("line numbers", lambda text: [_unnumbered(text)]),
    ("diff marks", lambda text: [sides.after for sides in [_sides(text, 0)] if sides]),
    ("HTML entities", lambda text: [_characters(text)]),
    ("typographic characters", lambda text: [_ascii(text)]),
    ("prose", _without_prose),
)
