from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from move37.memory.policies import Rule, choose
from move37.memory.pool import select
from move37.memory.posterior import believe, discount, draw_parent
from move37.records import CampaignConfig, Experiment, Noise, Novelty, Policy
from tests.memory.examples import ROOT, failed, measured, pruned, refused, scored

NOISE = Noise(mean=ROOT.loss, sd=0.02, seeds=8)
TAU = 0.05
POLICIES: tuple[Policy, ...] = ("paper", "posterior", "best-of-n", "random")
EACH = pytest.mark.parametrize("policy", POLICIES)


def rule(policy: Policy = "posterior", seed: int = 0, sd: float = 0.02) -> Rule:
    return Rule(policy, seed, NOISE.model_copy(update={"sd": sd}), TAU)


def design(number: int, loss: float, parent: int = 0) -> Experiment:
    """A scored experiment whose fitness says nothing of its loss."""
    told = scored(number, fitness=0.5, parent=parent)
    return told.model_copy(update={"outcome": measured(loss)})


def repeat(number: int, parent: int = 0) -> Experiment:
    novelty = Novelty(verdict="repeat", reason="known", fingerprint="f" * 64)
    return refused(number).model_copy(update={"parent": parent, "novelty": novelty})


def history(seed: int, size: int) -> list[Experiment]:
    """Scored, failed and refused experiments whose parents were scored before them."""
    rng = random.Random(seed)
    made, parents = [], [0]
    for number in range(1, size + 1):
        parent = rng.choice(parents)
        kind = rng.choice(("scored", "scored", "failed", "repeat", "unjudged"))
        one = design(number, rng.gauss(1.25, 0.06), parent)
        if kind == "scored":
            parents.append(number)
        elif kind == "unjudged":
            one = one.model_copy(update={"status": "unjudged", "judgement": None})
        else:
            one = failed(number, parent) if kind == "failed" else repeat(number, parent)
        made.append(one)
    return made


@EACH
@given(seed=st.integers(0, 10**6), size=st.integers(0, 40), number=st.integers(1, 41))
def test_a_choice_depends_on_nothing_but_what_was_before(
    policy: Policy, seed: int, size: int, number: int
) -> None:
    told = history(seed, size)
    first = choose(told, ROOT, number, rule(policy, seed))
    shuffled = random.Random(seed).sample(told, len(told))
    assert choose(shuffled, ROOT, number, rule(policy, seed)) == first
    assert choose(told[: number - 1], ROOT, number, rule(policy, seed)) == first
    scored_before = {0} | {e.number for e in told if e.judgement and e.number < number}
    chosen = [first.parent.number, *(one.number for one in first.references)]
    assert set(chosen) <= scored_before
    assert len(set(chosen)) == len(chosen)
    assert first.reason
    if policy != "best-of-n":
        assert len(chosen) == min(5, len(scored_before))


@EACH
def test_a_campaign_starts_from_the_root(policy: Policy) -> None:
    for told in ([], [failed(1), repeat(2)]):
        selection = choose(told, ROOT, 3, rule(policy))
        assert (selection.parent, selection.references) == (ROOT, ())


def test_the_papers_policy_is_the_pool_as_it_was() -> None:
    told = history(1, 60)
    for seed in range(20):
        assert choose(told, ROOT, 61, rule("paper", seed)) == select(told, ROOT, 61, seed)


def test_best_of_n_never_leaves_the_root_nor_shows_another_design() -> None:
    found = [choose(history(2, 30), ROOT, 31, rule("best-of-n", seed)) for seed in range(10)]
    assert {(one.parent, one.references) for one in found} == {(ROOT, ())}


def test_random_draws_all_designs_alike() -> None:
    told = [design(number, 1.0 + number / 10) for number in range(1, 10)]
    draws = 2000
    parents = Counter(
        choose(told, ROOT, 10, rule("random", seed)).parent.number for seed in range(draws)
    )
    assert sorted(parents) == list(range(10))
    error = 4 * math.sqrt(draws * 0.1 * 0.9)
    assert all(abs(count - draws / 10) < error for count in parents.values())


def test_the_same_seed_draws_other_parents_for_other_experiments_of_a_batch() -> None:
    told = [design(number, 1.2) for number in range(1, 9)]
    parents = {choose(told, ROOT, number, rule()).parent.number for number in range(9, 40)}
    assert len(parents) > 4


# --- posterior ---------------------------------------------------------------------------------


def parents_of(told: list[Experiment], sd: float = 0.02, draws: int = 1000) -> Counter[int]:
    number = max(e.number for e in told) + 1
    noise = NOISE.model_copy(update={"sd": sd})
    belief = believe(told, ROOT, noise, TAU)
    return Counter(draw_parent(belief, seed, number).parent.number for seed in range(draws))


def test_losses_are_shrunk_and_the_more_the_noisier_they_are() -> None:
    told = [design(number, 1.25 + 0.05 * (-1) ** number) for number in range(1, 11)]
    leads = []
    for sd in (0.0, 0.02, 0.1):
        belief = believe(told, ROOT, NOISE.model_copy(update={"sd": sd}), TAU)
        leads.append(float(np.ptp(belief.mean)))
    assert leads[0] == pytest.approx(0.1)
    assert leads[0] > leads[1] > leads[2] > 0


def test_two_equal_losses_are_believed_by_where_they_come_from() -> None:
    line = [design(1, 1.05), design(2, 1.06, 1), design(3, 1.45), design(4, 1.44, 3)]
    told = [*line, design(5, 1.2, parent=2), design(6, 1.2, parent=4)]
    belief = believe(told, ROOT, NOISE, TAU)
    assert belief.mean[5] < belief.mean[6]
    assert belief.sd[5] == pytest.approx(belief.sd[6])


def test_the_better_design_is_the_more_frequent_parent_and_noise_levels_them() -> None:
    told = [design(1, 1.15), design(2, 1.19)]
    sharp, blunt = parents_of(told, sd=0.005), parents_of(told, sd=0.05)
    assert sharp[1] > 950
    assert 500 < blunt[1] < sharp[1]
    assert blunt[2] > 50


def test_fitness_does_not_count_but_the_loss() -> None:
    told = [scored(1, fitness=0.99).model_copy(update={"outcome": measured(1.4)}), design(2, 1.1)]
    assert parents_of(told, sd=0.005)[2] > 950


def test_a_design_that_did_not_learn_does_not_widen_the_spread_of_the_others() -> None:
    told = [design(number, 1.25 + random.Random(number).gauss(0, 0.03)) for number in range(1, 20)]
    alone = believe(told, ROOT, NOISE, TAU)
    beside = believe([*told, design(20, 5.5)], ROOT, NOISE, TAU)
    assert beside.tau < 1.5 * alone.tau
    assert beside.mean[-1] > 4.5
    assert beside.mean[:-1] == pytest.approx(alone.mean, abs=0.01)


def test_without_designs_the_spread_is_the_tiers_and_with_many_it_is_theirs() -> None:
    assert believe([], ROOT, NOISE, TAU).tau == TAU
    draw = random.Random(3)
    wide = [design(number, draw.gauss(1.25, 0.1)) for number in range(1, 400)]
    assert believe(wide, ROOT, NOISE, TAU).tau == pytest.approx(0.1, rel=0.1)


def test_a_noise_of_zero_and_equal_losses_are_no_trouble() -> None:
    told = [design(number, ROOT.loss) for number in range(1, 6)]
    belief = believe(told, ROOT, NOISE.model_copy(update={"sd": 0.0}), TAU)
    assert np.isfinite(belief.mean).all()
    assert belief.sd == pytest.approx(0.0)
    assert draw_parent(belief, 0, 6).parent.number in range(6)


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ([], 0),
        ([failed(3, 1), failed(4, 1)], 2),
        ([pruned(3, 1), design(4, 1.5, 1)], 2),
        ([failed(3, 1), design(4, 1.0, 1)], 0),
        ([design(3, 1.0, 1), failed(4, 1), repeat(5, 1)], 2),
        ([design(3, 1.5, 1), failed(4, 2)], 1),
        ([refused(3).model_copy(update={"parent": 1})], 0),
        ([design(3, 1.0, 1).model_copy(update={"judgement": None})], 0),
    ],
)
def test_the_last_children_that_brought_nothing_are_counted(
    children: list[Experiment], expected: int
) -> None:
    told = [design(1, 1.2), design(2, 1.3), *children]
    assert believe(told, ROOT, NOISE, TAU).barren[1] == expected


def test_the_discount_grows_without_end_and_starts_at_nothing() -> None:
    values = [discount(barren, TAU) for barren in range(200)]
    assert values[0] == 0.0
    assert values == sorted(values)
    assert values[1] == pytest.approx(TAU * math.log(1.5))
    assert discount(10**9, TAU) > 15 * TAU


def test_a_parent_that_keeps_failing_is_left_for_the_next_best() -> None:
    told = [design(1, 1.10), design(2, 1.15)]
    assert parents_of(told, sd=0.005)[1] > 950
    tired = [*told, *(failed(number, parent=1) for number in range(3, 13))]
    assert parents_of(tired, sd=0.005)[2] > 950
    better = [*tired, design(13, 1.09, parent=1)]
    assert parents_of(better, sd=0.005)[2] < 50


def test_the_reason_says_what_was_believed_drawn_and_held_against_the_parent() -> None:
    told = [design(1, 1.0), design(2, 1.4), failed(3, 1)]
    reason = choose(told, ROOT, 4, rule(sd=0.005)).reason
    assert "experiment 1 has rank 1 of 3 by posterior loss (1.0" in reason
    assert "measured 1.0000" in reason
    assert "of it for 1 children in a row that brought nothing" in reason
    assert "the references have rank 2, 3" in reason


# --- the choice in a campaign's record ---------------------------------------------------------


def test_a_record_from_before_the_choice_ran_with_the_papers_policy_and_keeps_its_id() -> None:
    stored = CampaignConfig(name="old", policy="paper").model_dump(mode="json")
    del stored["policy"], stored["early_stopping"]
    old = CampaignConfig.from_record(stored)
    assert old.policy == "paper"
    # The id that this configuration had before there was a choice.
    assert old.id == "1783c4de97cf"
    assert old.early_stopping is False
    assert len({CampaignConfig(name="old", policy=policy).id for policy in POLICIES}) == 4
    assert CampaignConfig(name="new").policy == "posterior"
    again = CampaignConfig.from_record(CampaignConfig(name="new").model_dump(mode="json"))
    assert again.policy == "posterior"


def test_a_record_from_before_early_stopping_ran_without_it_and_keeps_its_id() -> None:
    stored = CampaignConfig(name="old", early_stopping=False).model_dump(mode="json")
    del stored["early_stopping"]
    old = CampaignConfig.from_record(stored)
    assert old.early_stopping is False
    # The id that this configuration had before there was a choice.
    assert old.id == "f12d98c13ec5"
    new = CampaignConfig(name="old")
    assert new.early_stopping is True
    assert new.id != old.id
    assert CampaignConfig.from_record(new.model_dump(mode="json")) == new
