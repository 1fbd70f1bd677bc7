"""Turning source text into a syntax tree, from any thread."""

from __future__ import annotations

import ast
import threading

# CPython 3.11 keeps one depth for all trees that are under construction (python/cpython#106905).
# Where a thread gets its turn in the middle of another's tree, both may end in a SystemError, so
# ours are built one at a time. A finaliser may parse too, in the thread that is already parsing.
_ONE_AT_A_TIME = threading.RLock()
# Libraries parse without our lock.
_TRIES = 20


def parse(source: str, filename: str = "<unknown>") -> ast.Module:
    """Return the tree of a program, as `ast.parse` does.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: the source is no program, or one
            too deep to be read.
    """
    with _ONE_AT_A_TIME:
        for _ in range(_TRIES - 1):
            try:
                return ast.parse(source, filename)
            except SystemError:
                continue
        return ast.parse(source, filename)
