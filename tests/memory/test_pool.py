from __future__ import annotations

from collections import Counter

import pytest

from move37.memory.lessons import mechanism_payoffs
from move37.memory.pool import parents_in, rank, select
from move37.records import Experiment
from tests.memory.examples import ROOT, failed, proposal, pruned, refused, scored


def population(size: int) -> list[Experiment]:
    """Return experiments 1..size, each a little fitter than the root and than those before."""
    return [scored(number, fitness=0.5 + number / 1000) for number in range(1, size + 1)]


def test_a_campaign_starts_from_the_root() -> None:
    selection = select([], ROOT, number=1, seed=0)
    assert (selection.parent, selection.references) == (ROOT, ())


def test_failures_never_become_parents_or_references() -> None:
    history = [failed(1), refused(2), scored(3).model_copy(update={"judgement": None})]
    assert select(history, ROOT, number=4, seed=0).parent == ROOT
    assert rank([*history, scored(5, fitness=0.9)], ROOT)[0].number == 5


def test_the_root_competes_with_its_own_fitness() -> None:
    history = [scored(1, fitness=0.4), scored(2, fitness=0.6)]
    assert [one.number for one in rank(history, ROOT)] == [2, 0, 1]
    assert 0 not in [one.number for one in rank(population(60), ROOT)]


def test_equal_arguments_give_the_equal_choice_and_numbers_differ() -> None:
    history = population(30)
    first = select(history, ROOT, number=31, seed=7)
    assert first == select(list(reversed(history)), ROOT, number=31, seed=7)
    others = {select(history, ROOT, number=31, seed=seed).parent.number for seed in range(40)}
    assert len(others) > 2


def test_later_experiments_are_not_seen() -> None:
    history = population(30)
    assert select(history, ROOT, 11, 0) == select(history[:10], ROOT, 11, 0)


def test_a_full_pool_draws_as_the_paper_does() -> None:
    history = population(200)
    places = {one.number: place for place, one in enumerate(rank(history, ROOT), start=1)}
    parents: Counter[int] = Counter()
    for seed in range(400):
        selection = select(history, ROOT, number=201, seed=seed)
        parents[places[selection.parent.number]] += 1
        ranks = [places[one.number] for one in selection.references]
        assert len(set(ranks)) == 4
        assert all(11 <= place <= 50 for place in ranks)
    assert sorted(parents) == list(range(1, 11))
    assert min(parents.values()) > 15


@pytest.mark.parametrize("size", range(1, 30))
def test_a_small_pool_fills_references_without_the_parent(size: int) -> None:
    for seed in range(20):
        selection = select(population(size), ROOT, number=size + 1, seed=seed)
        numbers = [one.number for one in selection.references]
        assert len(numbers) == len(set(numbers)) == min(4, size)
        assert selection.parent.number not in numbers


def test_the_share_of_parents_grows_with_the_pool() -> None:
    assert [parents_in(size) for size in (1, 2, 5, 15, 16, 50)] == [1, 2, 3, 3, 4, 10]


def test_the_reason_speaks_of_ranks() -> None:
    selection = select(population(20), ROOT, number=21, seed=1)
    assert " of 21 by fitness (" in selection.reason
    assert "drawn from the top 5" in selection.reason


def test_lessons_travel_with_the_candidate() -> None:
    assert rank([scored(1, fitness=0.9)], ROOT)[0].lessons == ("gates help",)


def test_a_mechanism_is_paid_by_the_gain_of_those_who_brought_it_in() -> None:
    history = [
        scored(1, fitness=0.6, told=proposal(mechanisms=("delta-rule", "output-gate"))),
        scored(2, 0.5, parent=1, told=proposal(mechanisms=("output-gate", "token-shift"))),
        scored(3, 0.7, parent=0, told=proposal(mechanisms=("delta-rule", "token-shift"))),
        failed(4, parent=1, told=proposal(mechanisms=("long-convolution",))),
    ]
    payoffs = mechanism_payoffs(history, ROOT, root_mechanisms=("delta-rule",))
    assert payoffs == {
        "output-gate": pytest.approx(0.1),
        "token-shift": pytest.approx((-0.1 + 0.2) / 2),
    }


def test_a_mechanism_that_lags_is_paid_as_the_lower_quartile_of_what_was_scored() -> None:
    history = [
        *(scored(number, fitness=0.1 * number) for number in range(1, 8)),
        pruned(8, parent=6, told=proposal(mechanisms=("long-convolution",))),
        pruned(9, parent=1, told=proposal(mechanisms=("token-shift",))),
    ]
    # Of 0.1 to 0.7 and the root's 0.5, the second lowest is the quartile.
    payoffs = mechanism_payoffs(history, ROOT)
    assert payoffs == {"long-convolution": pytest.approx(0.2 - 0.6), "token-shift": 0.0}
