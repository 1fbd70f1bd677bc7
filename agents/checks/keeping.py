"""Whether a repair keeps the idea: what a proposal changed in its parent, and how much is left.

A program is read as the operations that its answer is made of (`memory/programs/tracing`), so that
names, order, helpers and numbers do not count and code that reaches no answer is not there. What
the proposal has more of than its parent is its idea; where it only takes away, that is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Set
from functools import lru_cache
from typing import NamedTuple

from move37.arch_templates.catalog import ops
from move37.memory.programs import fingerprint, new_numbers
from move37.memory.programs.naming import words
from move37.memory.programs.tracing.answer import answer_of
from move37.memory.programs.tracing.labels import label_of
from move37.memory.programs.tracing.values import Known, Op, operations

# Share of the idea below which it counts as taken out. Of the repairs in
# `tests/agents/keeping_cases.py` each keeps 0.52 or more, of the removals 0.41 at most.
LEAST_KEPT = 0.47
READ = 512  # programs
TOLD = 6  # names in a complaint
EDGE = 0.5  # weight of what flows where, beside that of an operation

# An operation, or an operation and what flows into it.
Marks = Counter[tuple[str, ...]]
_INPUTS = ("x", "state")
# What a parameter is good for shows in what it flows into, and in nothing else.
_LEARNED = ("parameter", "buffer")
# What an op of ours may do in place of operators that a program wrote out.
_ARITHMETIC = words("add sub mul div pow exp log matmul pool index compare peak shift")
_WORD = re.compile(r"[^\W\d]\w*")


class Change(NamedTuple):
    """Marks that a proposal added to its parent, or took away, and how many operations they have.

    `whole` is false where some are left out because an op of ours may stand for them.
    """

    marks: Marks
    added: bool
    whole: bool = True


def kept(parent: str, proposal: str, revised: str) -> float:
    """Return the share of a proposal's idea, in [0, 1], that a revision of its code still has.

    An idea that is a matter of numbers alone is kept by what differs from the parent in numbers.
    Code that cannot be traced is compared word by word.
    """
    if fingerprint(revised) in (fingerprint(proposal), fingerprint(parent)):
        return float(fingerprint(revised) == fingerprint(proposal))
    before, _, after = _read(parent, proposal, revised)
    change = _change(parent, proposal, revised)
    if not change.marks:
        return float(_renumbered(revised, parent) or not _renumbered(proposal, parent))
    lost = _lost(change, before, after)
    return 1.0 - _weight(lost) / _weight(change.marks)


def _renumbered(code: str, other: str) -> bool:
    return bool(new_numbers(code, other) or new_numbers(other, code))


def objection(parent: str, proposal: str, revised: str) -> str | None:
    """Return what is missing of the idea, for the engineer; None where it is kept.

    Refused is what keeps less than `LEAST_KEPT` of the idea, and what is nearer the parent than
    the proposal.
    """
    share = kept(parent, proposal, revised)
    if share >= LEAST_KEPT and not _nearer(parent, proposal, revised):
        return None
    added = _change(parent, proposal, revised).added
    told = "gone from what y is made of" if added else "back in what y is made of"
    names = ", ".join(missing(parent, proposal, revised)) or "numbers alone"
    nearer = " and it is nearer the parent than the proposal" if share >= LEAST_KEPT else ""
    return (
        f"the revision takes the idea out: {share:.0%} of what the proposal changed in its parent "
        f"is left{nearer}; {told}: {names}"
    )


def missing(parent: str, proposal: str, revised: str) -> tuple[str, ...]:
    """Return the names of the operations by which a revision falls short of the idea."""
    before, _, after = _read(parent, proposal, revised)
    change = _change(parent, proposal, revised)
    lost = _lost(change, before, after)
    source, others = (proposal, (parent, revised)) if change.added else (revised, (proposal,))
    known = {op.name for code in others for op in _operations(code) or ()}
    traced = _operations(source) or ()
    ends = {mark[-1] for mark in lost if len(mark) == 1 or mark[1] in _LEARNED}
    names = [op.name for op in traced if op.label in ends and op.name not in known]
    labels = [mark[0] for mark in lost if len(mark) == 1]
    # What is learned says most, and an operator least.
    names.sort(key=lambda name: ("self." not in name, not _is_word(name)))
    return tuple(list(dict.fromkeys(names or labels))[:TOLD])


def _is_word(name: str) -> bool:
    return _WORD.match(name) is not None


def _nearer(parent: str, proposal: str, revised: str) -> bool:
    """Whether a revision shares more with the parent than with the proposal.

    Not asked of what only takes away, nor where an op stands for a loop: there the parent may use
    the same op.
    """
    change = _change(parent, proposal, revised)
    before, meant, after = _read(parent, proposal, revised)
    asked = change.added and change.whole
    return asked and _alike(after, before) > _alike(after, meant)


def _change(parent: str, proposal: str, revised: str) -> Change:
    before, meant, after = _read(parent, proposal, revised)
    added = meant - before
    if not _has_operations(added):
        return Change(before - meant, added=False)
    fresh = [label for label in _recurrences() if after[(label,)] > meant[(label,)]]
    traced = _operations(proposal)
    if fresh and traced:
        # An op that the parent has not stands for operators too, not only for a loop.
        new = any(after[(label,)] > before[(label,)] for label in fresh)
        spared = {op for op in traced if op.looped or (new and op.label in _ARITHMETIC)}
        rest = _marks(traced, spared) - before
        if _has_operations(rest) and spared:
            return Change(rest, added=True, whole=False)
    return Change(added, added=True)


def _lost(change: Change, before: Marks, after: Marks) -> Marks:
    """Return which marks of a change a revision has not."""
    left = after - before if change.added else before - after
    return change.marks - left


def _has_operations(marks: Marks) -> bool:
    return any(len(mark) == 1 for mark in marks)


def _weight(marks: Marks) -> float:
    return sum(times * _worth(mark) for mark, times in marks.items())


def _worth(mark: tuple[str, ...]) -> float:
    return 1.0 if len(mark) == 1 or mark[1] in _LEARNED else EDGE


def _alike(one: Marks, other: Marks) -> float:
    return _weight(one & other) / (_weight(one | other) or 1.0)


# --- reading ------------------------------------------------------------------------------------


def _read(*codes: str) -> tuple[Marks, ...]:
    """Return the marks of programs; their words where one of them cannot be traced."""
    traced = [_operations(code) for code in codes]
    if all(found is not None for found in traced):
        return tuple(_marks(found or ()) for found in traced)
    return tuple(Counter((word,) for word in _WORD.findall(code)) for code in codes)


@lru_cache(maxsize=READ)
def _operations(code: str) -> tuple[Op, ...] | None:
    try:
        return tuple(answer_of(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@lru_cache(maxsize=1)
def _recurrences() -> frozenset[str]:
    """Return what ops of ours are called that stand for a loop over tokens."""
    names = (op.name for op in ops())
    return frozenset(
        label_of(name) for name in names if name.startswith("chunk_") or "attention" in name
    )


def _marks(found: Iterable[Op], spared: Set[Op] = frozenset()) -> Marks:
    """Count operations, and pairs of an operation and what flows into it."""
    marks: Marks = Counter()
    for op in found:
        if op.label in _INPUTS or op in spared:
            continue
        if op.label not in _LEARNED:
            marks[(op.label,)] += 1
        flowing = (one for one in dict.fromkeys(operations(op.inputs)) if one not in spared)
        # A state that is handed on, or not, changes no idea.
        marks.update((op.label, one.label) for one in flowing if one.label != "state")
        marks.update((op.label, option) for option in _options(op))
    return marks


def _options(op: Op) -> list[str]:
    """Return the choices that are made by a word, as an activation is; an equation is none."""
    given = [one.value for one in op.inputs if isinstance(one, Known)]
    return [repr(one) for one in given if isinstance(one, str) and op.label != "matmul"]
