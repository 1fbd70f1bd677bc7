"""Designs of the grammar without one of their changes: always valid, never more than needed."""

from __future__ import annotations

import random

import pytest

from move37.agents.offline import grammar
from move37.agents.offline.grammar.genome import gene

SEEDS = range(40)


def design(seed: int) -> grammar.Genome:
    """Return a design a few mutations away from the root."""
    rng = random.Random(seed)
    genome = grammar.ROOT
    for _ in range(rng.randint(1, 5)):
        genome, _change = grammar.mutate(genome, rng, {})
    return genome


@pytest.mark.parametrize("seed", SEEDS)
def test_every_change_to_the_root_is_taken_back_once(seed: int) -> None:
    genome = design(seed)
    changed = {edit.field for edit in grammar.difference(grammar.ROOT, genome, "mutation").edits}
    found = grammar.reductions(genome)
    assert {edit.field for undone, _ in found for edit in undone} == changed
    assert len({reduced for _, reduced in found}) == len(found)
    for undone, reduced in found:
        assert grammar.valid(reduced)[0]
        back = {edit.field for edit in undone}
        assert all(gene(reduced, field) == gene(grammar.ROOT, field) for field in back)
        kept = changed - back
        assert all(gene(reduced, field) == gene(genome, field) for field in kept)


def test_the_root_has_nothing_to_take_out() -> None:
    assert grammar.reductions(grammar.ROOT) == []


def test_what_hangs_on_a_mechanism_goes_with_it() -> None:
    genome = grammar.Genome(filter_taps=16, fusion="softmax", temperature=True, beta_bias=True)
    told = {grammar.told(undone): reduced for undone, reduced in grammar.reductions(genome)}
    filtered = next(text for text in told if text.startswith("adds the long causal filter"))
    assert "the fusion of paths" in filtered
    assert "the learned router temperature" in filtered
    assert told[filtered] == grammar.Genome(beta_bias=True)
    alone = next(text for text in told if text.startswith("adds the learned router temperature"))
    assert "and" not in alone
