"""Marks of a program: one hash for all that differ only in what does not change the design."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from functools import lru_cache

from move37 import syntax
from move37.memory.programs.canonical import is_number, normal_tree
from move37.memory.programs.ordering import arrange

KEPT = 8192  # programs; more than the longest campaign proposes


@lru_cache(maxsize=KEPT)
def fingerprint(code: str) -> str:
    """Return a hash of the canonical form; numbers count.

    Names, comments, docstrings, annotations, imports and the order of independent statements do
    not. Code that does not parse is hashed as text. Not covered: algebraic equals, temporaries,
    renamed keyword arguments, statements around a change in place; they make other programs here.
    """
    return _hash(code, constants=True)


@lru_cache(maxsize=KEPT)
def outline(code: str) -> str:
    """Return a hash of the canonical form in which every number is the same."""
    return _hash(code, constants=False)


def new_numbers(code: str, earlier: str) -> tuple[float, ...]:
    """Return the numbers that a program has and the earlier one has not, or less often."""
    return tuple(sorted((_numbers(code) - _numbers(earlier)).elements()))


def _hash(code: str, constants: bool) -> str:
    try:
        canonical = ast.dump(arrange(normal_tree(code, constants)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        canonical = "text:" + "\n".join(line.strip() for line in code.splitlines())
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()


@lru_cache(maxsize=KEPT)
def _numbers(code: str) -> Counter[float]:
    try:
        found = [node for node in ast.walk(syntax.parse(code)) if is_number(node)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Counter()
    values = (node.value for node in found if isinstance(node, ast.Constant))
    return Counter(float(value) for value in values if isinstance(value, int | float))
