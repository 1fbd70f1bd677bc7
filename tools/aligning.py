"""Where in a file the lines stand that a model quotes, and what an edit makes of them.

A quotation is aligned with the file line by line. What is then written is the difference between
`old` and `new`, not `new` as a whole: lines that the edit leaves alone stay as the file has them,
so a comment that was left out of the quotation survives, and a line that is misquoted can show the
place but is never changed.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, islice, pairwise, product
from typing import NamedTuple

from move37 import syntax
from move37.tools.unwrapping import plain

TAB = 4
# Where some lines are misquoted: how alike all must be and each, how far ahead of any other place,
# and of how many lines.
NEAR, ALIKE, MARGIN, NEAR_LINES = 0.85, 0.5, 0.1, 3
# Longer ones are code; and how much is looked at before a search is given up.
LONGEST_GAP, MOST_GAPS, MOST_PLACES, MOST_CHOICES, MOST_PAIRS = 120, 10, 50, 10_000, 200_000

_DOTS, _LEFT_OUT = r"(?:\.\.\.|…)", r"(?:existing|rest|remain\w+|unchanged|omitted|previous|same)"
_GAP = re.compile(
    rf"(?:#\s*)?[(\[]?{_DOTS}(?:[)\]]?$|\s*#|[\s(]*[\w ]*\b{_LEFT_OUT}\b|.*{_DOTS}[)\]]?$)"
    rf"|#[\s(]*(?:the |keep )*{_LEFT_OUT}\b.*(?:\b(?:unchanged|omitted|as is|as before)\b|{_DOTS})"
    r"|#[\s(]*(?:the )?(?:existing|rest of the|remaining) (?:code|file|class|method|lines?)[.)]*$",
    re.IGNORECASE,
)

# For each line of a quotation the line of the file that it stands for, where there is one.
Spots = tuple[int | None, ...]


class Line(NamedTuple):
    """A line: the columns of its indentation, a tab counted as four, and what follows them."""

    width: int
    content: str


GAP = Line(0, "...")


class Change(NamedTuple):
    """Lines of a file, from `first` to before `end`, that give way to others."""

    first: int
    end: int
    lines: tuple[Line, ...]


class Shift(NamedTuple):
    """How indentations of an edit become those of the file."""

    scale: Fraction
    offset: Fraction

    def of(self, width: int) -> Fraction:
        """Return the columns in the file for those in the edit."""
        return self.scale * width + self.offset


def measured(text: str) -> list[Line]:
    """Return the lines of a text, without the blanks at their ends."""
    lines = []
    for row in text.split("\n"):
        content = row.strip()
        before = row[: len(row) - len(row.lstrip())]
        lines.append(Line(len(before.expandtabs(TAB)) if content else 0, content))
    return lines


def is_gap(content: str) -> bool:
    """Say whether a line stands for lines left out, as `# ... existing code ...` does."""
    return len(content) <= LONGEST_GAP and bool(_GAP.match(content))


def both_measured(old: str, new: str) -> tuple[list[Line], list[Line]]:
    """Return the lines of both sides, without the blank lines and gaps around the quotation."""
    mine, other = (measured(text.removesuffix("\n")) for text in (old, new))
    for end in (0, -1):
        while mine and (kind := _kind(mine[end])) != "code":
            mine.pop(end)
            if other and _kind(other[end]) == kind:
                other.pop(end)
    return mine, other if any(line.content for line in other) else []


def _kind(line: Line) -> str:
    """Say what a line is at the edge of a quotation."""
    return "code" if line.content and not is_gap(line.content) else "gap" if line.content else ""


# How a quotation may be aligned, strictest first.


def same_lines(file: Sequence[Line], old: Sequence[Line]) -> list[Spots]:
    """Find these lines, whatever their indentation; where that is the same too, only there."""
    starts = _runs([plain(line.content) for line in old], [plain(line.content) for line in file])
    widths = [line.width for line in old]
    there = [n for n in starts if [line.width for line in file[n : n + len(old)]] == widths]
    return [tuple(range(n, n + len(old))) for n in there or starts]


def same_code(file: Sequence[Line], old: Sequence[Line]) -> list[Spots]:
    """Find these lines, whatever their spacing and quotes, and what comments stand between."""
    mine = [k for k, line in enumerate(old) if _is_code(line)]
    theirs = [n for n, line in enumerate(file) if _is_code(line)]
    starts = _runs([_loose(old[k]) for k in mine], [_loose(file[n]) for n in theirs])
    pairs = (dict(zip(mine, theirs[start:], strict=False)) for start in starts)
    found = [_filled(file, old, known) for known in pairs]
    return [spots for spots in found if not _misplaced(file, _unpaired(spots, old))]


def around_gaps(file: Sequence[Line], old: Sequence[Line]) -> list[Spots]:
    """Find the pieces of a quotation that leaves lines out, in their order."""
    gaps = [k for k, line in enumerate(old) if is_gap(line.content)]
    if not 0 < len(gaps) <= MOST_GAPS:
        return []
    pieces = [old[a + 1 : b] for a, b in pairwise([-1, *gaps, len(old)])]
    choices = islice(product(*(same_code(file, piece) for piece in pieces)), MOST_CHOICES)
    joined = (tuple(chain(*((*spots, None) for spots in choice)))[:-1] for choice in choices)
    return [spots for spots in joined if _ascend(spots)]


def nearly(file: Sequence[Line], old: Sequence[Line]) -> list[Spots]:
    """Find a quotation some lines of which are misquoted; places that are about as near are all."""
    mine = [k for k, line in enumerate(old) if _is_code(line)]
    theirs = [n for n, line in enumerate(file) if _is_code(line)]
    if len(mine) < NEAR_LINES or len(mine) * len(theirs) > MOST_PAIRS:
        return []
    wanted, keys = [_loose(old[k]) for k in mine], [_loose(file[n]) for n in theirs]
    scores = {
        start: _likeness(wanted, keys[start : start + len(wanted)])
        for start in range(len(keys) - len(wanted) + 1)
    }
    best = max(scores.values(), default=0.0)
    close = [start for start, score in scores.items() if score >= max(NEAR, best) - MARGIN]
    faithful = (
        {k: theirs[start + at] for at, k in enumerate(mine) if wanted[at] == keys[start + at]}
        for start in close
    )
    found = [_filled(file, old, known) for known in faithful] if best >= NEAR else []
    return [] if any(_misplaced(file, _unpaired(spots, old)) for spots in found) else found


def same_program(code: str, old: Sequence[Line]) -> list[tuple[int, int]]:
    """Find these statements, however they are laid out; return their first line and end."""
    tree, quoted = _parsed(code), _parsed(dedented(old))
    if tree is None or quoted is None:
        return []
    wanted, rows = [ast.dump(statement) for statement in quoted.body], code.split("\n")
    found = []
    for body in _bodies(tree):
        for start in _runs(wanted, [ast.dump(statement) for statement in body]):
            found += _whole_rows(rows, body[start : start + len(wanted)])
    file = measured(code)
    comments = [line for line in old if line.content.startswith("#")]
    return [
        (first, end)
        for first, end in found
        if not _misplaced(file, set(comments) - set(file[slice(*_around(file, first, end))]))
    ]


def _runs(wanted: Sequence[str], keys: Sequence[str]) -> list[int]:
    """Return where a sequence begins in a longer one, at the first few places."""
    size = len(wanted)
    places = (n for n in range(len(keys) - size + 1) if size and keys[n : n + size] == wanted)
    return list(islice(places, MOST_PLACES))


def _is_code(line: Line) -> bool:
    """Say whether a line is neither blank nor a comment."""
    return bool(line.content) and not line.content.startswith("#")


def _loose(line: Line) -> str:
    """Return what is compared of a line where spacing, quotes and comments do not count."""
    code, _, comment = plain(line.content).replace("'", '"').partition(" #")
    return "".join((code if '"' not in comment else line.content.replace("'", '"')).split())


def _likeness(wanted: Sequence[str], window: Sequence[str]) -> float:
    """Return how alike two runs of lines are, from 0 to 1.

    0 where fewer than half are the same, or a line is one that nobody would take for the other.
    """
    pairs = list(zip(wanted, window, strict=True))
    if 2 * sum(a == b for a, b in pairs) < len(pairs):
        return 0.0
    ratios = [_ratio(a, b) for a, b in pairs]
    weights = [len(a) for a in wanted]
    mean = sum(r * w for r, w in zip(ratios, weights, strict=True)) / sum(weights)
    return mean if min(ratios) >= ALIKE else 0.0


def _ratio(quoted: str, line: str) -> float:
    """Return how alike two lines are; the first and the last one may be quoted in part."""
    if quoted == line:
        return 1.0
    if line.startswith(quoted) or line.endswith(quoted):
        return ALIKE
    return difflib.SequenceMatcher(None, quoted, line, autojunk=False).ratio()


def _filled(file: Sequence[Line], old: Sequence[Line], known: dict[int, int]) -> Spots:
    """Add to the lines that are known the comments and blank lines around them."""
    spots: list[int | None] = [known.get(k) for k in range(len(old))]
    low, end = _around(file, min(known.values()), 1 + max(known.values()))
    for k, line in enumerate(old):
        high = next((n for n in spots[k:] if n is not None), end)
        if spots[k] is None and not _is_code(line):
            same = (n for n in range(low, high) if _loose(file[n]) == _loose(line))
            spots[k] = next(same, None)
        at = spots[k]
        low = low if at is None else at + 1
    return tuple(spots)


def _around(file: Sequence[Line], first: int, end: int) -> tuple[int, int]:
    """Return a range of lines with the comments and blank lines before and after it."""
    while first > 0 and not _is_code(file[first - 1]):
        first -= 1
    while end < len(file) and not _is_code(file[end]):
        end += 1
    return first, end


def _unpaired(spots: Spots, old: Sequence[Line]) -> list[Line]:
    """Return the lines of a quotation that do not stand at its place."""
    return [line for n, line in zip(spots, old, strict=True) if n is None and line.content]


def _misplaced(file: Sequence[Line], lines: Iterable[Line]) -> bool:
    """Say whether a line stands elsewhere: then it is not misquoted, but others were left out."""
    there = {_loose(line) for line in file}
    return any(_loose(line) in there for line in lines)


def _ascend(spots: Spots) -> bool:
    """Say whether pieces follow each other in the file."""
    return all(a < b for a, b in pairwise(n for n in spots if n is not None))


def dedented(lines: Sequence[Line]) -> str:
    """Return lines from the first column on; the first may have lost its indentation."""
    widths = [line.width for line in lines if line.content]
    rest = min(widths[1:], default=0)
    if widths and widths[0] < rest and not lines[0].content.endswith(":"):
        lines = [Line(rest, lines[0].content), *lines[1:]]
    least = min((line.width for line in lines if line.content), default=0)
    return "\n".join(" " * (line.width - least) + line.content for line in lines)


def _parsed(code: str) -> ast.Module | None:
    """Return the tree of a program, or None where it is none."""
    try:
        return syntax.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _bodies(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Return each run of statements of one block."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                yield body


def _whole_rows(rows: Sequence[str], body: Sequence[ast.stmt]) -> list[tuple[int, int]]:
    """Return the rows of statements that share them with no others."""
    first, last = body[0], body[-1]
    starts = [first.lineno, *(d.lineno for d in getattr(first, "decorator_list", ()))]
    before = rows[first.lineno - 1].encode()[: first.col_offset]
    end = last.end_lineno or last.lineno
    after = rows[end - 1].encode()[last.end_col_offset :].strip()
    alone = not before.strip() and (not after or after.startswith(b"#"))
    return [(min(starts) - 1, end)] if alone else []


# What an edit changes at a place.


def changes(
    file: Sequence[Line], spots: Spots, old: Sequence[Line], new: Sequence[Line]
) -> list[tuple[Change, ...]]:
    """Return the changes of an edit, in each way in which `new` may be indented, likeliest first.

    There are none where the indentation of `old` cannot be brought to that of the file, nor where
    the edit changes what was misquoted or left out.
    """
    known = [(k, n) for k, n in enumerate(spots) if n is not None and old[k].content]
    code = [(k, n) for k, n in known if _is_code(old[k])]
    shift = _fitted([(old[k].width, file[n].width) for k, n in code or known])
    if shift is None:
        return []
    base = [
        Line(int(shift.of(line.width)) if n is None else file[n].width, line.content)
        for n, line in zip(spots, old, strict=True)
    ]
    made = []
    for moved in indented(new, shift, base):
        # Where the first line of `old` has not its indentation, neither has that of `new`.
        if new and new[0].width == old[0].width and spots[0] is not None:
            moved[0] = Line(base[0].width, moved[0].content)
        made.append(_merged(spots, base, moved))
    return [one for one in dict.fromkeys(made) if one is not None]


def indented(new: Sequence[Line], shift: Shift, base: Sequence[Line]) -> list[list[Line]]:
    """Return `new` indented by the shift, as given, and from where `base`, its place, begins.

    That comes first which leaves most lines as they are, and begins where they begin.
    """
    begin, first = (next((x.width for x in side if x.content), 0) for side in (new, base))
    unit, ways = Fraction(1), []
    for way in dict.fromkeys(
        (shift, Shift(unit, Fraction()), Shift(unit, Fraction(first - begin)))
    ):
        widths = [way.of(line.width) if line.content else Fraction() for line in new]
        if all(width >= 0 and width.denominator == 1 for width in widths):
            moved = zip(widths, new, strict=True)
            ways.append([Line(int(width), line.content) for width, line in moved])
    # What is copied often begins after the indentation of its first line.
    ways += [[Line(first, way[0].content), *way[1:]] for way in ways if way and not way[0].width]
    there = set(base)

    def changed(lines: list[Line]) -> tuple[int, bool]:
        return -sum(line in there for line in lines), bool(lines) and lines[0].width != first

    return sorted(ways, key=changed)


def _fitted(pairs: Sequence[tuple[int, int]]) -> Shift | None:
    """Return the shift from the first widths to the second; that of the first line may be lost."""
    for rest in (pairs, pairs[1:]):
        if rest:
            (a, b) = rest[0]
            scale = next((Fraction(d - b, c - a) for c, d in rest if c != a), Fraction(1))
            shift = Shift(scale, b - scale * a)
            if scale > 0 and all(shift.of(c) == d for c, d in rest):
                return shift
    return None


def _merged(spots: Spots, old: list[Line], new: list[Line]) -> tuple[Change, ...] | None:
    """Return what turns `old` into `new`, at their place in the file."""
    gaps = any(n is None and is_gap(line.content) for n, line in zip(spots, old, strict=True))
    if gaps:
        old, new = ([GAP if is_gap(one.content) else one for one in side] for side in (old, new))
    found = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal" or (tag == "delete" and not _stands(spots[a:b], old[a:b])):
            continue
        place = _place(spots, old, a, b)
        if place is None or (gaps and GAP in new[c:d]):
            return None
        found.append(Change(*place, tuple(new[c:d])))
    return tuple(found)


def _stands(spots: Spots, old: Sequence[Line]) -> bool:
    """Say whether anything of these lines is in the file or should be."""
    return any(n is not None or line.content for n, line in zip(spots, old, strict=True))


def _place(spots: Spots, old: Sequence[Line], a: int, b: int) -> tuple[int, int] | None:
    """Return the lines of the file for lines a to b of `old`, or None where they are not its."""
    if any(n is None and line.content for n, line in zip(spots[a:b], old[a:b], strict=True)):
        return None
    inside = [n for n in spots[a:b] if n is not None]
    if inside:
        return inside[0], inside[-1] + 1
    for order, after in ((range(a - 1, -1, -1), 1), (range(b, len(old)), 0)):
        for k in order:
            at = spots[k]
            if at is not None:
                return at + after, at + after
            if old[k].content:
                break
    return None


def written(code: str, made: Sequence[Change]) -> str:
    """Return the code with changes that follow each other, in its own line ends and tabs."""
    rows = code.split("\n")
    end = "\r" if "\r\n" in code else ""
    tabs = any(row.startswith("\t") for row in rows)
    for change in reversed(made):
        rows[change.first : change.end] = [_row(line, tabs=tabs) + end for line in change.lines]
    return "\n".join(rows)


def _row(line: Line, *, tabs: bool) -> str:
    """Return a line as text."""
    deep, rest = divmod(line.width, TAB) if tabs else (0, line.width)
    return "\t" * deep + " " * rest + line.content
