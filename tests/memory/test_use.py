from __future__ import annotations

import math

import pytest

from move37.memory.use import origins, payoffs
from move37.records import Experiment
from tests.memory.examples import ROOT, failed, measured, proposal, refused, scored


def based_on(
    number: int,
    papers: tuple[str, ...] = (),
    lessons: tuple[str, ...] = (),
    loss: float = 1.2,
    fitness: float = 0.6,
) -> Experiment:
    marks = {"cognition_ids": papers, "lesson_ids": lessons, "shown": ("a-1", "b-1", *lessons)}
    told = proposal().model_copy(update=marks)
    made = scored(number, fitness=fitness, told=told)
    return made.model_copy(update={"outcome": measured(loss)})


def test_an_idea_from_both_sources_counts_half_for_each() -> None:
    found = origins(
        [
            based_on(1, ("a-1",), fitness=0.9),
            based_on(2, ("a-1",), ("lesson-1.1",)),
            based_on(3, (), ("lesson-1.1",)),
            based_on(4),
            refused(5).model_copy(update={"proposal": None}),
        ]
    )
    assert found.ideas == 4
    assert found.all_shares == {"papers": 0.375, "own analysis": 0.375, "neither": 0.25}
    assert (found.best, found.best_shares["papers"]) == (1, 1.0)


def test_a_campaign_without_ideas_has_no_shares() -> None:
    found = origins([])
    assert (found.ideas, sum(found.all_shares.values())) == (0, 0.0)


def test_a_gain_is_a_mean_over_users_with_the_noise_of_that_mean() -> None:
    history = [
        based_on(1, ("a-1",), loss=1.15),
        based_on(2, ("a-1", "b-1"), loss=1.25),
        failed(3, told=proposal().model_copy(update={"cognition_ids": ("c-1",)})),
    ]
    found = {one.id: one for one in payoffs(history, ROOT, sd=0.01)}
    assert list(found) == ["a-1", "b-1", "c-1"]
    assert (found["a-1"].shown, found["a-1"].used, found["a-1"].measured) == (2, 2, 2)
    assert found["a-1"].gain == pytest.approx(0.05)
    assert found["a-1"].noise == pytest.approx(0.01 * math.sqrt(2 / 2))
    assert (found["c-1"].used, found["c-1"].gain) == (1, None)
