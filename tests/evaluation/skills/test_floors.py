"""Floors against exact Bayes predictors, and against everything that could be tried instead."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from move37.evaluation.data import token_losses
from move37.evaluation.skills import copying, markov
from move37.evaluation.skills.catalog import SKILLS
from move37.evaluation.skills.measure import floor_gates
from move37.evaluation.skills.rows import Rows
from move37.evaluation.skills.settings import load_skill_settings
from tests.evaluation.skills.references import copy_bayes, entropy, markov_bayes

SETTINGS = load_skill_settings().skills
SEEDS = st.integers(0, 2**63)
# The draws are fixed: a check at four standard errors may fail by chance.
some = settings(max_examples=10, deadline=None, derandomize=True)


def bayes(rows: Rows, name: str) -> np.ndarray:
    """Return the exact predictive distributions [N, T, V] of the targets, by the slow way."""
    tokens, size = rows.tokens.tolist(), SETTINGS[name].alphabet
    if name == "markov":
        return np.array([markov_bayes(row, size, markov.SPREAD)[1:] for row in tokens])
    return np.array([copy_bayes(row, size, len(row) // 4)[1:] for row in tokens])


def drawn(name: str, seed: int, count: int) -> Rows:
    return SKILLS[name](SETTINGS[name], 5).test(seed, count)


@pytest.mark.parametrize("name", ["markov", "copy"])
@some
@given(seed=SEEDS)
def test_the_floor_is_the_entropy_of_the_exact_predictor(name: str, seed: int) -> None:
    rows = drawn(name, seed, 5)
    exact = [[entropy(chance) for chance in row] for row in bayes(rows, name).tolist()]
    assert rows.floor == pytest.approx(np.array(exact), abs=1e-9)


@pytest.mark.parametrize("name", ["markov", "copy"])
@some
@given(seed=SEEDS)
def test_the_exact_predictor_loses_the_floor_and_no_less(name: str, seed: int) -> None:
    rows = drawn(name, seed, 200)
    with np.errstate(divide="ignore"):
        losses = token_losses(np.log(bayes(rows, name)), rows.tokens)
    assert np.isfinite(losses).all()
    (gate,) = floor_gates(losses, rows.floor, name)
    assert gate.passed
    assert gate.figure is not None
    assert abs(gate.figure) < 4


@pytest.mark.parametrize("name", ["markov", "copy"])
@some
@given(seed=SEEDS, trust=st.floats(0, 1), sharpness=st.floats(0.1, 3), wrong=SEEDS)
def test_no_predictor_of_the_past_is_expected_below_the_floor(
    name: str, seed: int, trust: float, sharpness: float, wrong: int
) -> None:
    rows = drawn(name, seed, 5)
    exact = bayes(rows, name)
    other = np.random.default_rng(wrong).dirichlet(np.full(exact.shape[-1], sharpness), (5,))
    said = trust * exact + (1 - trust) * other[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = -np.where(exact > 0, exact * np.log(said), 0.0).sum(-1)
    assert (expected >= rows.floor - 1e-9).all()


@pytest.mark.parametrize("name", SKILLS)
@some
@given(seed=SEEDS, table=SEEDS)
def test_honest_guesses_pass_the_floor_of_every_skill(name: str, seed: int, table: int) -> None:
    skill = SKILLS[name](SETTINGS[name], 5)
    rows = skill.test(seed, 64)
    # What comes next, by the token before it alone: sharp, arbitrary, and blind to the future.
    logits = 2 * np.random.default_rng(table).standard_normal((skill.vocabulary,) * 2)
    losses = token_losses(logits[rows.tokens[:, :-1]], rows.tokens)
    assert all(gate.passed for gate in floor_gates(losses, rows.floor, name))


@pytest.mark.parametrize("name", SKILLS)
def test_who_sees_the_next_token_is_caught_in_every_skill(name: str) -> None:
    skill = SKILLS[name](SETTINGS[name], 5)
    rows = skill.test(1, 64)
    logits = 4.0 * np.eye(skill.vocabulary)[rows.tokens[:, 1:]]
    (gate,) = floor_gates(token_losses(logits, rows.tokens), rows.floor, name)
    assert not gate.passed
    assert gate.id == "G6"
    assert "leak" in gate.advice


@pytest.mark.parametrize("name", SKILLS)
def test_a_uniform_guess_among_the_possible_tokens_is_no_leak_for_want_of_spread(name: str) -> None:
    rows = SKILLS[name](SETTINGS[name], 5).test(1, 16)
    losses = np.nan_to_num(rows.floor).astype(np.float32).astype(float)
    assert all(gate.passed for gate in floor_gates(losses, rows.floor, name))


@pytest.mark.parametrize("name", [name for name in SKILLS if name != "markov"])
def test_answers_cost_nothing_and_chance_is_above_them(name: str) -> None:
    skill = SKILLS[name](SETTINGS[name], 5)
    rows = skill.train(1, 200)
    assert (rows.floor[rows.mask > 0] == 0).all()
    answers = np.bincount(rows.tokens[:, 1:][rows.mask > 0], minlength=skill.vocabulary)
    # As many answers occur as chance says, none of them much more often than the others.
    seen = answers[answers > 0]
    assert len(seen) == round(math.exp(skill.chance))
    assert seen.max() < 3 * seen.mean()


@some
@given(seed=SEEDS)
def test_values_told_for_the_first_time_are_uniform(seed: int) -> None:
    for name in ("recall", "overwrite", "noisy", "fuzzy"):
        skill = SKILLS[name](SETTINGS[name], 5)
        rows = skill.train(seed, 300)
        told = np.nan_to_num(rows.floor) > 0
        assert rows.floor[told] == pytest.approx(skill.chance)
        counts = np.bincount(rows.tokens[:, 1:][told])
        expected = told.sum() / math.exp(skill.chance)
        spread = ((counts[counts > 0] - expected) ** 2 / expected).mean()
        assert 0.3 < spread < 2.5


def test_a_chain_that_was_seen_often_enough_is_known() -> None:
    rows = markov.chains(0, 400, 400, 4)
    early, late = rows.floor[:, :20].mean(), rows.floor[:, -20:].mean()
    # The expected entropy of a row of the matrix: psi(V a + 1) - psi(a + 1), V = 4, a = 0.2.
    known = 0.284_990_6 + 0.289_039_9
    assert late < early - 0.2
    assert late == pytest.approx(known, abs=0.08)


def test_text_of_selective_copy_has_its_letters_at_random_places() -> None:
    rows = copying.selective_copy(0, 400, 64, 16)
    letters = (rows.tokens[:, :47] < 16).mean(0)
    assert letters == pytest.approx(np.full(47, 16 / 47), abs=0.12)
