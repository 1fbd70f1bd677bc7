"""Every skill against a slow reader of its rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from move37.evaluation.skills import facts, recall, tracking
from move37.evaluation.skills.catalog import SKILLS, chosen
from move37.evaluation.skills.rows import Rows, Skill
from move37.evaluation.skills.settings import load_skill_settings
from move37.records import UserError
from tests.evaluation.skills.references import REFERENCES

SETTINGS = load_skill_settings().skills
SEEDS = st.integers(0, 2**63)
some = settings(max_examples=15, deadline=None)


def skill(name: str, secret: int = 5) -> Skill:
    return SKILLS[name](SETTINGS[name], secret)


def equal(a: Rows, b: Rows) -> bool:
    pairs = ((a.tokens, b.tokens), (a.mask, b.mask), (a.floor, b.floor))
    return all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in pairs)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("part", ["train", "test"])
@some
@given(seed=SEEDS)
def test_answers_are_right_and_the_mask_marks_them_alone(name: str, part: str, seed: int) -> None:
    rows = getattr(skill(name), part)(seed, 6)
    for tokens, mask in zip(rows.tokens.tolist(), rows.mask, strict=True):
        answers = REFERENCES[name](tokens, SETTINGS[name].alphabet)
        # Targets are the tokens but the first.
        assert {int(t) + 1: tokens[t + 1] for t in np.flatnonzero(mask)} == answers


@pytest.mark.parametrize("name", SKILLS)
@some
@given(seed=SEEDS)
def test_rows_follow_from_the_seed_alone(name: str, seed: int) -> None:
    first = skill(name).train(seed, 8)
    assert equal(first, skill(name).train(seed, 8))
    assert not np.array_equal(first.tokens, skill(name).train(seed + 1, 8).tokens)


@pytest.mark.parametrize("name", SKILLS)
@some
@given(seed=SEEDS, count=st.integers(1, 9))
def test_rows_have_their_shape_and_stay_in_the_vocabulary(name: str, seed: int, count: int) -> None:
    made, setting = skill(name), SETTINGS[name]
    for rows, length in (
        (made.train(seed, count), setting.length),
        (made.test(seed, count), setting.test_length),
    ):
        assert rows.tokens.shape == (count, length)
        assert rows.tokens.dtype == np.uint16
        assert rows.mask.shape == rows.floor.shape == (count, length - 1)
        assert rows.tokens.max() < made.vocabulary
        assert (rows.mask.sum(-1) > 0).all()
        assert np.isfinite(rows.floor[rows.mask > 0]).all()


@some
@given(seed=SEEDS)
def test_half_of_the_overwritten_keys_have_another_value_than_first_told(seed: int) -> None:
    rows = skill("overwrite").train(seed, 40)
    changed = []
    for tokens in rows.tokens.tolist():
        answers = REFERENCES["overwrite"](tokens, 32)
        first: dict[int, int] = {}
        for i in range(0, min(answers) - 1, 2):
            first.setdefault(tokens[i], tokens[i + 1])
        changed += [first[tokens[i - 1]] != answers[i] for i in answers if tokens[i - 1] in first]
    assert 0.2 < np.mean(changed) < 0.7


@some
@given(seed=SEEDS)
def test_the_letters_of_a_key_stand_in_other_keys_of_the_row_too(seed: int) -> None:
    tokens = recall.fuzzy(seed, 20, 96, 6).tokens.reshape(20, -1, 3)
    first, second = tokens[..., 0], tokens[..., 1]
    assert first.max() < 6
    assert second.max() < 6
    # No row has more than 6 letters in a place, and nearly all have keys that share them.
    shared = [
        len(set(zip(a, b, strict=True))) > len(set(a))
        for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    assert np.mean(shared) > 0.7


@some
@given(seed=SEEDS, secret=st.integers(0, 2**63))
def test_facts_hold_in_training_and_test_and_only_under_their_secret(
    seed: int, secret: int
) -> None:
    train, test = (facts.memorised(seed + i, 60, 48, 16, secret).tokens for i in (0, 1))
    table: dict[tuple[int, int], int] = {}
    for a, b, v in np.concatenate([train, test]).reshape(-1, 3).tolist():
        assert 0 <= a < 16 <= b < 32 <= v < 48
        assert table.setdefault((a, b), v) == v
    other = facts.memorised(seed, 60, 48, 16, secret + 1).tokens.reshape(-1, 3).tolist()
    assert np.mean([table.get((a, b), v) == v for a, b, v in other]) < 0.4


def test_every_third_token_of_facts_is_asked_for() -> None:
    rows = facts.memorised(1, 5, 48, 16, 7)
    assert (np.flatnonzero(rows.mask[0]) + 1).tolist() == list(range(2, 48, 3))


@some
@given(seed=SEEDS)
def test_states_are_tested_on_longer_gaps_than_any_in_training(seed: int) -> None:
    made = skill("parity")
    gaps = [
        {int(np.flatnonzero(row)[0]) for row in rows.mask}
        for rows in (made.train(seed, 60), made.test(seed, 60))
    ]
    assert gaps[1] == {32}
    assert max(gaps[0]) == 16


@pytest.mark.parametrize("length", range(6, 140))
def test_the_longest_gap_is_asked_about_twice_in_every_row(length: int) -> None:
    gap = tracking.longest_gap(length)
    assert 2 * (gap + 2) <= length < 2 * (2 * gap + 2)


def test_pairs_of_a_row_of_recall_are_told_by_its_first_answer() -> None:
    rows = recall.plain(3, 50, 64, 32)
    for tokens, pairs in zip(rows.tokens.tolist(), recall.pairs_of(rows).tolist(), strict=True):
        assert set(tokens[0 : 2 * pairs : 2]) == set(tokens[2 * pairs : 4 * pairs : 2])
    assert set(recall.pairs_of(rows).tolist()) == {2, 4, 8, 16}


@pytest.mark.parametrize(
    ("draw", "length"),
    [
        (recall.plain, 66),
        (recall.plain, 48),
        (recall.overwritten, 64),
        (recall.noisy, 64),
        (recall.fuzzy, 64),
        (tracking.running_sum, 5),
    ],
)
def test_a_length_that_no_row_can_have_is_refused(draw: object, length: int) -> None:
    assert callable(draw)
    with pytest.raises(ValueError, match=f"length {length}"):
        draw(0, 4, length, 32)


def test_skills_are_chosen_by_name_and_an_unknown_one_names_them() -> None:
    assert chosen([]) == tuple(SKILLS)
    assert chosen(["parity", "recall", "parity"]) == ("recall", "parity")
    with pytest.raises(UserError, match=r"unknown skill 'parrot'; there are recall, .*mod5"):
        chosen(["parrot"])
