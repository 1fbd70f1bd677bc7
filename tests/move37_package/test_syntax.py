"""Source is parsed by many threads at once, and one disturbs no other."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from move37 import syntax

SOURCE = Path(syntax.__file__).read_text(encoding="utf-8")


class Ring:
    """Garbage that only the collector finds, and at whose end Python code runs."""

    def __init__(self) -> None:
        self.self = self

    def __del__(self) -> None:
        for _ in range(20):
            pass


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def parsed_at(depth: int) -> str:
    """Return what is parsed below so many calls: CPython counts from there."""
    if depth:
        return parsed_at(depth - 1)
    for _ in range(3):
        Ring()
    return ast.dump(syntax.parse(SOURCE))


@pytest.mark.usefixtures("hasty")
def test_threads_that_parse_at_once_all_get_the_whole_tree() -> None:
    with ThreadPoolExecutor(4) as pool:
        trees = set(pool.map(parsed_at, [7 * (k % 4) for k in range(2000)]))
    assert trees == {ast.dump(ast.parse(SOURCE))}


def test_what_is_no_program_is_refused() -> None:
    with pytest.raises(SyntaxError):
        syntax.parse("def f(:")
    assert syntax.parse("x = 1").body


def test_a_disturbance_by_a_library_is_outlived(monkeypatch: pytest.MonkeyPatch) -> None:
    parse, calls = ast.parse, iter([SystemError("depth mismatch")] * 3)

    def disturbed(source: str, filename: str) -> ast.Module:
        for error in calls:
            raise error
        return parse(source, filename)

    monkeypatch.setattr(ast, "parse", disturbed)
    assert syntax.parse("x = 1").body
