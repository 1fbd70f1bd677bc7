"""A campaign has stalled when nothing is believed better for long enough, and not before."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from move37.memory.lessons import Origin
from move37.memory.plateau import (
    FEWEST_RESULTS,
    FEWEST_TRIES,
    KINDS,
    NUMBERS_ONLY,
    SUGGESTED,
    Plateau,
    find_plateau,
)
from move37.memory.policies import Rule, choose
from move37.memory.posterior import believe
from move37.memory.vocabulary import MECHANISMS
from move37.records import Experiment, Noise
from tests.memory.examples import ROOT, failed, measured, proposal, pruned, scored

LOSS, SD, TAU = 1.8, 0.01, 0.05
HAD = ("delta-rule", "key-norm")
THERE = ROOT.model_copy(update={"loss": LOSS})
NOISE = Noise(mean=LOSS, sd=SD, seeds=8)
ORIGIN = Origin(loss=LOSS, mechanisms=frozenset(HAD), sd=SD)


def child(
    number: int, gain: float = 0.0, *added: str, parent: int = 0, base: float = LOSS
) -> Experiment:
    """Return a scored child of a design with a loss of `base`."""
    told = proposal(mechanisms=(*HAD, *added))
    one = scored(number, parent=parent, told=told)
    return one.model_copy(update={"outcome": measured(base - gain)})


def find(history: Sequence[Experiment], batch: int = 1) -> Plateau | None:
    return find_plateau(believe(history, THERE, NOISE, TAU), history, ORIGIN, batch)


def flat(count: int, first: int = 1) -> list[Experiment]:
    """Return results that lie around the root, within its noise."""
    return [child(n, 0.004 * (-1) ** n) for n in range(first, first + count)]


def test_a_young_campaign_has_not_stalled() -> None:
    assert find([]) is None
    assert find(flat(FEWEST_RESULTS - 1)) is None


def test_enough_results_without_a_better_one_are_a_plateau_at_the_root() -> None:
    found = find(flat(FEWEST_RESULTS))
    assert found is not None
    assert (found.best, found.results) == (0, FEWEST_RESULTS)
    assert found.believed.mean == pytest.approx(LOSS, abs=SD)


def test_experiments_that_run_side_by_side_need_three_batches() -> None:
    assert find(flat(11), batch=4) is None
    assert find(flat(12), batch=4) is not None


def test_a_better_design_begins_the_count_anew_behind_its_own_batch() -> None:
    history = [*flat(4), child(5, 0.1), *flat(8, first=6)]
    found = find(history)
    assert found is not None
    assert (found.best, found.results) == (5, 8)
    assert find(history[:-1]) is None
    # Number 6 was designed beside number 5.
    assert find(history, batch=2) is None


def test_a_step_within_the_noise_does_not_begin_the_count_anew() -> None:
    found = find([*flat(4), child(5, 0.012), *flat(4, first=6)])
    assert found is not None
    assert (found.best, found.results) == (0, 9)


def test_small_steps_add_up() -> None:
    steps = [child(n, 0.012, parent=n - 1, base=LOSS - 0.012 * (n - 1)) for n in range(1, 10)]
    assert find(steps) is None


def test_failures_are_no_results_and_runs_that_were_stopped_early_are() -> None:
    history: list[Experiment] = [failed(n, told=proposal(mechanisms=HAD)) for n in range(1, 12)]
    assert find(history) is None
    history += [pruned(n, told=proposal(mechanisms=HAD)) for n in range(12, 20)]
    found = find(history)
    assert found is not None
    assert found.results == 8


def test_a_kind_is_used_up_after_enough_tries_and_told_with_its_best_gain() -> None:
    gates = [child(n, 0.004 * n, "output-gate") for n in range(1, FEWEST_TRIES)]
    late = pruned(8, told=proposal(mechanisms=(*HAD, "output-norm")))
    history = [*gates, *(child(n, 0.0, "token-shift") for n in (5, 6, 7)), late, child(9)]
    found = find(history)
    assert found is not None
    (spent,) = found.spent
    assert spent.kind == "gates and norms behind the memory"
    assert (spent.tries, spent.stopped) == (FEWEST_TRIES, 1)
    assert spent.best is not None
    assert 0 < spent.best.mean < 0.016
    assert spent.best.sd > 0


def test_tries_count_from_the_last_one_that_brought_something() -> None:
    first = [child(n, 0.0, "output-gate") for n in range(1, 6)]
    good = child(6, 0.1, "output-gate")
    later = [child(n, 0.0, "output-norm") for n in range(7, 15)]
    assert find([*first, good]) is None
    found = find([*first, good, *later])
    assert found is not None
    assert [(one.kind, one.tries) for one in found.spent] == [
        ("gates and norms behind the memory", 8)
    ]


def test_changes_of_numbers_alone_are_a_kind_of_their_own() -> None:
    found = find(flat(9))
    assert found is not None
    assert [(one.kind, one.tries) for one in found.spent] == [(NUMBERS_ONLY, 9)]


def test_what_no_design_had_is_suggested_one_of_each_kind_the_least_tried_first() -> None:
    found = find([child(n, 0.0, "output-gate") for n in range(1, 10)])
    assert found is not None
    had = {*HAD, "output-gate"}
    kinds = [next(k for k, tags in KINDS.items() if tag in tags) for tag in found.untried]
    assert len(kinds) == len(set(kinds)) == SUGGESTED
    assert not had & set(found.untried)
    assert "gates and norms behind the memory" not in kinds
    assert "form of computing" not in kinds


def test_nothing_is_suggested_where_every_mechanism_was_had() -> None:
    found = find([*flat(8), child(9, 0.0, *MECHANISMS)])
    assert found is not None
    assert found.untried == ()


def test_the_order_in_which_a_history_is_given_does_not_count() -> None:
    history = [*flat(6), *(child(n, 0.0, "token-shift") for n in range(7, 14))]
    assert find(history[::-1]) == find(history)


def test_every_mechanism_belongs_to_one_kind() -> None:
    counts = Counter(tag for tags in KINDS.values() for tag in tags)
    assert counts == Counter(list(MECHANISMS))


def played(seed: int, gain: Callable[[random.Random, int], float], count: int) -> list[bool]:
    """Return at which of its experiments a simulated campaign is held for stalled."""
    rng, truth = random.Random(seed), {0: LOSS}
    history: list[Experiment] = []
    stalled = []
    for number in range(1, count + 1):
        seen = history[: (number - 1) // 2 * 2]
        chosen = choose(seen, THERE, number, Rule("posterior", seed, NOISE, TAU)).parent.number
        stalled.append(find(seen, batch=2) is not None)
        truth[number] = truth[chosen] - gain(rng, number)
        tag = rng.choice(("learned-decay", "token-shift", "output-gate"))
        loss = truth[number] + rng.gauss(0, SD)
        history.append(child(number, 0.0, tag, parent=chosen, base=loss))
    return stalled


def test_campaigns_that_get_on_are_seldom_held_for_stalled_and_others_nearly_always() -> None:
    def gets_on(rng: random.Random, number: int) -> float:
        return rng.gauss(0, TAU)

    def ends(rng: random.Random, number: int) -> float:
        return gets_on(rng, number) if number <= 12 else -abs(rng.gauss(0, TAU))

    on = [played(seed, gets_on, 32) for seed in range(12)]
    over = [played(seed, ends, 32) for seed in range(12)]
    assert sum(map(sum, on)) < 0.15 * 12 * 32
    assert sum(one[-1] for one in over) >= 10
    assert not any(stalled for one in over for stalled in one[:FEWEST_RESULTS])
