"""The papers as data: facts, families, tags, lengths, places to try, duplicates."""

from __future__ import annotations

import ast
import difflib
import re
from itertools import combinations
from pathlib import Path

import pytest

from move37.arch_templates.catalog import BOUNDS, TEMPLATES
from move37.memory.library import PAPERS, load_library
from move37.memory.vocabulary import DESIGNED, FAMILIES, MECHANISMS, PRACTICES
from move37.records import Cognition

LIBRARY = load_library()
LESSONS = [lesson for paper in LIBRARY for lesson in paper.cognitions()]
OPS = PAPERS.parents[1] / "arch_templates" / "ops" / "__init__.py"


def ops() -> set[str]:
    """Return the public ops, read without importing torch."""
    for node in ast.parse(OPS.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    raise AssertionError("ops have no __all__")


def test_at_least_120_papers_are_covered_and_each_is_cited_once() -> None:
    assert len(LIBRARY) >= 120
    cited = [paper.arxiv_id for paper in LIBRARY if paper.arxiv_id]
    assert len(set(cited)) == len(cited)
    assert len({paper.title.casefold() for paper in LIBRARY}) == len(LIBRARY)


def test_every_family_has_a_paper() -> None:
    assert {paper.family for paper in LIBRARY} == set(FAMILIES)


def test_an_arxiv_id_is_not_younger_than_its_year() -> None:
    for paper in LIBRARY:
        if paper.arxiv_id:
            assert 2000 + int(paper.arxiv_id[:2]) <= paper.year + 1, paper.id


def test_the_words_of_the_vocabulary_are_told_apart() -> None:
    assert not MECHANISMS.keys() & PRACTICES.keys()
    assert DESIGNED.keys() <= MECHANISMS.keys()
    meanings = [*MECHANISMS.values(), *PRACTICES.values()]
    assert len(set(meanings)) == len(meanings)


def test_most_of_the_vocabulary_is_used_by_papers() -> None:
    used = {tag for lesson in LESSONS for tag in lesson.mechanisms}
    known = MECHANISMS.keys() | PRACTICES.keys()
    assert used <= known
    assert len(used) >= 0.9 * len(known), sorted(known - used)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)
def test_a_lesson_can_be_tried_where_it_says(lesson: Cognition) -> None:
    for place in lesson.try_with:
        kind, _, name = place.partition(":")
        if kind == "op":
            assert name in ops()
        elif kind == "template":
            assert name in TEMPLATES + BOUNDS


def test_no_scenario_names_its_own_paper() -> None:
    for paper in LIBRARY:
        short = paper.title.split(":")[0].casefold()
        for entry in paper.cognition:
            for text in (entry.scenario, *entry.seen_as):
                assert short not in text.casefold(), paper.id
                assert "arxiv" not in text.casefold(), paper.id


def test_no_two_lessons_say_the_same() -> None:
    words = {lesson.id: set(re.findall(r"[a-z]+", lesson.scenario.lower())) for lesson in LESSONS}
    texts = {lesson.id: lesson.scenario for lesson in LESSONS}
    for one, other in combinations(words, 2):
        shared = len(words[one] & words[other]) / len(words[one] | words[other])
        if shared > 0.5:
            ratio = difflib.SequenceMatcher(None, texts[one], texts[other]).ratio()
            assert ratio < 0.8, (one, other)


def test_formulas_are_plain_text() -> None:
    for lesson in LESSONS:
        for text in (lesson.scenario, lesson.algorithm, lesson.context):
            assert "\\" not in text, lesson.id
            assert "$" not in text, lesson.id


def test_lines_are_short_enough_to_read() -> None:
    for path in sorted(Path(PAPERS).glob("*.toml")):
        inside = False
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.endswith('"""'):
                inside = not inside
            assert not inside or len(line) <= 100, f"{path.name}: {line}"
