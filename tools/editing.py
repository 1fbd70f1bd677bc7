"""Search and replace in a candidate's file: tolerant of how models quote, strict in what changes.

An exact quotation is replaced as given. Any other is read more and more freely, and only where each
reading leads to one place: what was wrapped around it is taken off (`unwrapping`), its lines are
aligned with the file (`aligning`). A free reading may not break a file that parses. What is refused
is refused with the lines that come closest, so that the next quotation can be exact.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from langchain_core.tools import ToolException

from move37 import syntax
from move37.tools.aligning import (
    MOST_PLACES,
    Change,
    Line,
    Shift,
    Spots,
    around_gaps,
    both_measured,
    changes,
    indented,
    is_gap,
    measured,
    nearly,
    same_code,
    same_lines,
    same_program,
    written,
)
from move37.tools.fencing import one_line
from move37.tools.unwrapping import Reading, plain, readings, unparsed, whole_file

SHOWN = 12
# A longer quotation is compared with the file, but not searched for in other forms.
MOST_LINES = 2000
_CLASS = re.compile(r"^\s*class TokenMixer\b", re.MULTILINE)
_WORD = re.compile(r"\w+")


class Edited(NamedTuple):
    """The code after an edit, and in a few words where it was changed and how that was found."""

    code: str
    note: str


class Place(NamedTuple):
    """A place that is meant: its line, and what the file may become, likeliest first."""

    line: int
    results: tuple[str, ...]


Finder = Callable[[str, Reading], list[Place]]


def apply_edit(code: str, old: str, new: str) -> Edited:
    """Return the code with the one place that `old` quotes changed as `new` says.

    Raises:
        ToolException: nothing would change, no place or several are meant, or a free reading would
            break the file.
    """
    if old == new:
        raise ToolException("`old` and `new` are equal; nothing would change")
    if not old.strip() and _CLASS.search(whole_file(new).new):
        file, note = take_file(new)
        return Edited(file, f"the whole file was replaced, as `old` was empty: {note}")
    short = max(old.count("\n"), new.count("\n")) < MOST_LINES
    read = readings(old, new) if short else [Reading(old, new)]
    forms = [form for form in read if form.old.strip()]
    if not forms:
        raise ToolException("`old` is empty; quote the lines to replace, or use write_code")
    if not short and old not in code:
        raise ToolException(f"`old` was not found; quote fewer than {MOST_LINES} lines")
    whole = [form for form in forms if not _left_out(code, form)]
    if not whole:
        raise ToolException(
            f"`new` leaves lines out ({_left_out(code, forms[0])!r}), which would delete them; "
            "write them out, or quote only the lines that change"
        )
    exact = whole[0].old == old and old in code
    edited = _exact(code, whole) if exact else _tolerant(code, whole)
    if edited.code == code:
        raise ToolException("`old` and `new` mean the same; nothing would change")
    if len(_CLASS.findall(edited.code)) > max(1, len(_CLASS.findall(code))):
        raise ToolException("the file would define TokenMixer twice; use write_code for a new file")
    return edited


def take_file(text: str) -> Edited:
    """Return the file that a text holds, without what is wrapped around it."""
    read = whole_file(text)
    gaps = [n for n, line in enumerate(read.new.split("\n"), 1) if is_gap(line.strip())]
    size = len(read.new.splitlines())
    parts = [f"{size} line{'s' * (size != 1)}"]
    parts += [f"taken without {_listed(read.without)}"] if read.without else []
    parts += [f"line {gaps[0]} stands for code that was left out: write it out"] if gaps else []
    return Edited(read.new, "; ".join([*parts, *_broken(read.new)]))


def _left_out(code: str, form: Reading) -> str:
    """Return the line of `new` for code that was left out and that `old` quotes; none is empty."""
    old, new = ([row.strip() for row in text.splitlines()] for text in (form.old, form.new))
    there = {row.strip() for row in code.splitlines()}
    gaps = (row for row in new if is_gap(row.lstrip("+ \t")) and row not in there)
    return "" if any(map(is_gap, old)) else one_line(next(gaps, ""), 60)


def _broken(code: str) -> list[str]:
    """Return the words that say why a file does not parse; none where it does."""
    why = unparsed(code)
    return [f"the file does not parse: {one_line(why, 200)}"] if why else []


def _harm(code: str, result: str) -> str:
    """Say what a free reading would do that nobody asks for; nothing where it is harmless."""
    if broken := _broken(result):
        return broken[0]
    added = set(result.split("\n")) - set(code.split("\n"))
    if any(row.lstrip().startswith("#") and "\\n" in row for row in added):
        return "code would stand in a comment, after a line end that is spelled out"
    before, after = _functions(code), _functions(result)
    names = {path[-1] for path in before - after} & {path[-1] for path in after - before}
    return f"{min(names)} would stand elsewhere than it does" if names else ""


@lru_cache(maxsize=64)
def _functions(code: str) -> frozenset[tuple[str, ...]]:
    """Return the functions and classes of a program by the names around them; none if broken."""
    if unparsed(code):
        return frozenset()
    nodes: list[tuple[tuple[str, ...], ast.AST]] = [((), syntax.parse(code))]
    for path, node in nodes:
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, ast.FunctionDef | ast.ClassDef)
            nodes.append(((*path, getattr(child, "name", "")) if named else path, child))
    return frozenset(path for path, _ in nodes if path)


def _listed(words: Sequence[str]) -> str:
    """Return words as in a sentence."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _exact(code: str, forms: Sequence[Reading]) -> Edited:
    """Replace what stands in the file as quoted.

    Where that would break the file or move a method out of its class, and would not if `new` were
    unwrapped or indented like what it replaces, this is done. Otherwise it is as given, and may
    leave a file that does not parse: a change may take two edits.

    Raises:
        ToolException: it stands there more than once.
    """
    old, new, _ = forms[0]
    starts = [found.start() for found in re.finditer(re.escape(old), code)]
    if len(starts) > 1:
        lines = [code.count("\n", 0, start) + 1 for start in starts[:MOST_PLACES]]
        raise _several(f"stands {len(starts)} times", lines)
    start, end = starts[0], starts[0] + len(old)
    # Or the line after would be joined to the last one, and lost where that ends in a comment.
    kept = "\n" if old.endswith("\n") and new and not new.endswith("\n") else ""
    given = code[:start] + new + kept + code[end:]
    mended = _mended(code, start, end, forms) if _harm(code, given) else None
    return _told(code, given) if mended is None else _told(code, mended, "`new` was made to fit")


def _mended(code: str, start: int, end: int, forms: Sequence[Reading]) -> str | None:
    """Return what an edit of an exact place was meant to give, where that can be told."""
    same = [form for form in forms if form.old.strip() == forms[0].old.strip()]
    results = [(r, form) for form in same for r in _again(code, start, end, form)]
    fences = [r for r, form in results if unparsed(code) and "Markdown fences" in form.without]
    return next((r for r, _ in results if not _harm(code, r)), next(iter(fences), None))


def _again(code: str, start: int, end: int, form: Reading) -> Iterator[str]:
    """Return the results of an edit of this piece of the file, read by whole lines if it can be."""
    piece = code[start:end]
    begin, stop = end - len(piece.lstrip()), start + len(piece.rstrip())
    if _whole_lines(code, begin, stop):
        old, new = both_measured(form.old, form.new)
        first, last = (code.count("\n", 0, at) for at in (begin, stop))
        spots = tuple(range(first, last + 1))
        yield from _results(code, spots, old, new) if len(spots) == len(old) else ()
    else:
        yield code[:start] + form.new.strip("\r\n") + code[end:]


def _whole_lines(code: str, start: int, end: int) -> bool:
    """Say whether a piece shares its lines with nothing but blanks."""
    before = code[code.rfind("\n", 0, start) + 1 : start]
    after = code[end : (code + "\n").find("\n", end)]
    return not before.strip() and not after.strip()


def _results(code: str, spots: Spots, old: Sequence[Line], new: Sequence[Line]) -> Iterator[str]:
    """Return what the file may become where `old` stands at these lines."""
    for made in changes(measured(code), spots, old, new):
        yield written(code, made)


def _tolerant(code: str, forms: Sequence[Reading]) -> Edited:
    """Try each way to find the place, strictest first, on each form of the edit.

    Raises:
        ToolException: none leads to one place, or what stands there cannot be changed so.
    """
    refused: dict[int, ToolException] = {}
    for how, find in _FINDERS.items():
        for form in forms:
            places = find(code, form)
            if len(places) > 1 and not refused:
                raise _several(f"fits {len(places)} places", [place.line for place in places])
            # Once a place is known, a freer reading may find a better change, but no other place.
            for place in places if not refused else [p for p in places if p.line in refused]:
                fine = next((r for r in place.results if _is_fine(code, r)), None)
                if fine is not None:
                    passed = _listed([*filter(None, [how]), *form.without])
                    return _told(code, fine, f"`old` was matched but for {passed}")
                refused.setdefault(place.line, _unfit(code, place, form))
    closest = f"`old` was not found; nothing was changed. {_closest(code, forms[-1].old)}"
    raise next(iter(refused.values()), ToolException(closest))


def _is_fine(code: str, result: str) -> bool:
    """Say whether a free reading harms nothing, or the file did not parse before."""
    return unparsed(code) is not None or not _harm(code, result)


def _pieces(code: str, form: Reading) -> list[Place]:
    """Find the text inside lines, where it cuts no name or number in two."""
    # What looked like the mark of a diff may be the sign of a term.
    signs = "-+" if "diff marks" in form.without else ""
    cut = rf"(?<![{signs}\w])" if form.old[0].isalnum() or form.old[0] == "_" else ""
    cut_after = r"(?!\w)" if form.old[-1].isalnum() or form.old[-1] == "_" else ""
    wanted = re.compile(cut + re.escape(form.old) + cut_after)
    texts = (code, plain(code))
    found = next(filter(None, ([*islice(wanted.finditer(t), MOST_PLACES)] for t in texts)), [])
    if len(found) != 1:
        return [Place(code.count("\n", 0, one.start()) + 1, ()) for one in found]
    start, end = found[0].span()
    if _whole_lines(code, start, end):
        return []  # what finds lines also sees to their indentation
    return [Place(code.count("\n", 0, start) + 1, (code[:start] + form.new + code[end:],))]


def _by_lines(align: Callable[[Sequence[Line], Sequence[Line]], list[Spots]]) -> Finder:
    """Return a finder that aligns the lines of `old` with those of the file."""

    def find(code: str, form: Reading) -> list[Place]:
        old, new = both_measured(form.old, form.new)
        found = align(measured(code), old) if old else []
        lines = [1 + min(n for n in spots if n is not None) for spots in found]
        results = tuple(_results(code, found[0], old, new)) if len(found) == 1 else ()
        return [Place(line, results) for line in lines]

    return find


def _statements(code: str, form: Reading) -> list[Place]:
    """Find the statements of `old`, laid out in any way."""
    old, new = both_measured(form.old, form.new)
    file, places = measured(code), []
    for first, end in same_program(code, old) if old else ():
        shift = Shift(Fraction(1), Fraction(file[first].width - old[0].width))
        ways = indented(new, shift, file[first:end])
        results = (written(code, [Change(first, end, tuple(way))]) for way in ways)
        places.append(Place(first + 1, tuple(results)))
    return places


# Strictest first, with the words for what did not count.
_FINDERS: dict[str, Finder] = {
    "": _pieces,
    "indentation or line ends": _by_lines(same_lines),
    "spacing or comments": _by_lines(same_code),
    "layout": _statements,
    "lines left out": _by_lines(around_gaps),
    "misquoted context": _by_lines(nearly),
}


def _told(code: str, result: str, how: str = "") -> Edited:
    """Return the code with a note: the lines that changed and, unless exact, how they read now."""
    before, after = code.split("\n"), result.split("\n")
    limit = min(len(before), len(after))
    first = next((n for n in range(limit) if before[n] != after[n]), limit)
    left = limit - first
    tail = next((n for n in range(left) if before[-1 - n] != after[-1 - n]), left)
    last = len(after) - tail
    where = f"line {first + 1}" if last == first + 1 else f"lines {first + 1} to {last}"
    parts = [where if last > first else f"lines deleted at line {first + 1}", *_broken(result)]
    if how:
        parts.append(f"{how}; now:\n{_listing(after, first, min(last, first + SHOWN))}")
    return Edited(result, "; ".join(parts))


def _listing(rows: Sequence[str], first: int, end: int) -> str:
    """Return lines with their numbers, which are no part of them."""
    return "\n".join(f"{n + 1}| {rows[n]}" for n in range(first, end))


def _several(found: str, lines: Sequence[int]) -> ToolException:
    """Return the refusal of a quotation that leads to more than one place."""
    told = ", ".join(map(str, sorted(set(lines))[:5]))
    return ToolException(f"`old` {found} (lines {told}); quote more lines around it")


def _unfit(code: str, place: Place, form: Reading) -> ToolException:
    """Return the refusal of an edit whose place is known and which cannot be made there."""
    if place.results:
        why = f"after this edit {_harm(code, place.results[0])}; quote and write whole lines"
    else:
        why = (
            "the edit would change lines that `old` quotes otherwise than they stand, or leaves out"
        )
    rows = code.split("\n")
    end = min(len(rows), place.line - 1 + max(3, min(SHOWN, form.old.strip().count("\n") + 1)))
    shown = _listing(rows, place.line - 1, end)
    return ToolException(f"nothing was changed: {why}. The file has:\n{shown}")


def _closest(code: str, old: str) -> str:
    """Return the lines of the file that share most words with a quotation."""
    rows = code.split("\n")
    wanted = set(_WORD.findall(old))
    size = min(SHOWN, max(3, old.strip().count("\n") + 1))
    words = [set(_WORD.findall(row)) & wanted for row in rows]
    shared = [len(set().union(*words[n : n + size])) for n in range(max(1, len(rows) - size + 1))]
    best = max(range(len(shared)), key=shared.__getitem__)
    if not shared[best]:
        return "No line has a word of it; read_code shows what the file holds"
    return f"The closest lines are:\n{_listing(rows, best, min(len(rows), best + size))}"
