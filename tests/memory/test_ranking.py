from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from move37.memory.lexical import Lexical
from move37.memory.ranking import reciprocal_rank_fusion, spread


def test_scores_are_sums_of_damped_reciprocal_ranks() -> None:
    scores = reciprocal_rank_fusion([["a", "b"], ["b", "c"]])
    assert list(scores) == ["b", "a", "c"]
    assert scores["b"] == pytest.approx(1 / 22 + 1 / 21)
    assert reciprocal_rank_fusion([["a", "b"], ["b"]], [1.0, 0.0]) == {"a": 1 / 21, "b": 1 / 22}


@given(st.lists(st.lists(st.sampled_from("abcdef"), unique=True), min_size=1, max_size=4))
def test_what_leads_every_ranking_leads_the_fusion(rankings: list[list[str]]) -> None:
    found = reciprocal_rank_fusion([["z", *ranking] for ranking in rankings])
    assert next(iter(found)) == "z"
    assert set(found) == {"z"}.union(*rankings)


def test_each_source_has_one_place_before_any_has_two() -> None:
    scores = {"a1": 9.0, "a2": 8.0, "b1": 5.0, "a3": 4.0, "c1": 3.0, "b2": 2.0}
    assert spread(scores, lambda one: one[0], 4) == ["a1", "b1", "c1", "a2"]
    assert spread(scores, lambda one: one[0], 2) == ["a1", "b1"]
    assert spread(scores, lambda one: one[0], 99) == ["a1", "b1", "c1", "a2", "a3", "b2"]


def test_of_two_sources_with_equal_bests_the_one_with_more_to_say_is_first() -> None:
    assert spread({"a1": 1.0, "b1": 1.0, "b2": 0.5}, lambda one: one[0], 2) == ["b1", "a1"]
    assert spread({"a1": 1.2, "b1": 1.0, "b2": 0.5}, lambda one: one[0], 2) == ["a1", "b1"]


@pytest.fixture
def index() -> Lexical:
    made = Lexical({"title": 2.0, "text": 1.0})
    made.add(
        [
            ("one", ("gates", "a decay of the state forgets")),
            ("two", ("decay", "how heads forget")),
            ("three", ("filters", "a convolution over three tokens")),
        ]
    )
    return made


def test_stems_meet_and_a_heavier_column_wins(index: Lexical) -> None:
    assert index.search("decays forgetting", 5) == ["two", "one"]
    assert index.search("convolutions", 5) == ["three"]
    assert index.search("the and of", 5) == []


@pytest.mark.parametrize("query", ['"', "text:* OR", "NEAR(a b)", "'; DROP TABLE texts; --", ""])
def test_no_query_is_read_as_a_command(index: Lexical, query: str) -> None:
    index.search(query, 5)
    assert index.search("decay", 5) == ["two", "one"]


def test_a_closed_index_is_gone(index: Lexical) -> None:
    index.close()
    with pytest.raises(sqlite3.ProgrammingError):
        index.search("decay", 1)
