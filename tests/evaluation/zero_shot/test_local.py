"""Our two tasks are made of held-out text alone, and blind guesses get the chance level."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from move37.evaluation.data import Corpus
from move37.evaluation.zero_shot.local import BRACKETS, CLOSERS, closing_items, recall_items
from move37.evaluation.zero_shot.text import ByteTokenizer, held_out_text

ROOM = 128


@pytest.fixture(scope="module")
def held_out(corpus: Corpus) -> str:
    return held_out_text(corpus)


def apart(held_out: str, texts: list[str]) -> bool:
    """Whether no two of the texts touch, as far as each stands in one place only."""
    once = [text for text in texts if held_out.count(text) == 1]
    assert len(once) > 0.9 * len(texts)
    places = sorted((held_out.find(text), len(text)) for text in once)
    return all(one + size <= other for (one, size), (other, _) in pairwise(places))


def test_a_recalled_name_occurs_before_and_follows_in_the_held_out_text(held_out: str) -> None:
    items = recall_items(held_out, ROOM)
    assert len(items) >= 500
    for item in items:
        answer = item.choices[item.gold]
        assert item.passage + answer in held_out
        assert len(item.passage + answer) <= ROOM
        assert all(choice.strip() in item.passage for choice in item.choices)
        assert len(set(item.choices)) == 4
        assert item.passage == item.passage.rstrip()
    assert len({frozenset(item.choices) for item in items}) >= len(items) - 5
    assert apart(held_out, [item.passage for item in items])


def test_every_place_holds_the_answer_as_often_whatever_the_limit(held_out: str) -> None:
    for items in (recall_items(held_out, ROOM), closing_items(held_out, ROOM)):
        kinds = len({item.gold for item in items})
        for limit in (kinds * 5, kinds * 50):
            counts = Counter(item.gold for item in items[:limit])
            assert len(set(counts.values())) == 1


def test_brackets_differ_in_one_place_only_and_the_true_one_is_held_out(held_out: str) -> None:
    items = closing_items(held_out, ROOM)
    assert len(items) >= 200
    for item in items:
        true = item.passages[item.gold]
        assert true + item.closer in held_out
        assert item.closer.strip() == CLOSERS[item.gold]
        for passage, bracket in zip(item.passages, BRACKETS, strict=True):
            differs = [
                i for i, pair in enumerate(zip(passage, true, strict=True)) if len({*pair}) > 1
            ]
            assert len(differs) == (passage != true)
            assert all(passage[i] == bracket for i in differs)
    assert apart(held_out, [item.passages[item.gold] + item.closer for item in items])


def test_items_are_the_same_each_time_and_few_stand_in_the_training_text_too(
    corpus: Corpus, held_out: str
) -> None:
    assert recall_items(held_out, ROOM) == recall_items(held_out, ROOM)
    train = ByteTokenizer(corpus).decode(corpus.train.tolist())
    texts = [i.passage + i.choices[i.gold] for i in recall_items(held_out, ROOM)[:200]]
    # Files of the library copy from each other.
    assert sum(text in train for text in texts) <= 0.08 * len(texts)


def test_text_that_is_no_program_gives_no_items() -> None:
    prose = "It was the best of times, it was the worst of times.\n" * 500
    assert closing_items(prose, ROOM) == []
    assert len(recall_items(prose, ROOM)) < 50


def test_a_text_without_a_last_newline_gives_no_passage_beyond_its_room(held_out: str) -> None:
    text = held_out[:20_000].rstrip() + " alpha_beta"
    assert all(len(i.passage) <= ROOM for i in recall_items(text, ROOM))
    assert all(len(i.passages[0]) <= ROOM for i in closing_items(text + "(alpha)", ROOM))
