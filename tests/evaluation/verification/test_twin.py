"""The matched twin: as many parameters as the candidate, by width first and the MLP after."""

from __future__ import annotations

import pytest

from move37.evaluation.tiers import load_tier
from move37.evaluation.verification.trial import Setup
from move37.evaluation.verification.twin import TOLERANCE, matched, plain_setup, size_twin

TIER = load_tier("laptop")
PLAIN = plain_setup(TIER)


def size(setup: Setup) -> int:
    """Parameters of a language model around delta_net, as its weights are counted."""
    hidden, wide = setup.hidden, int(setup.hidden * setup.expansion)
    head = hidden // TIER.heads
    mixer = 5 * hidden**2 + 3 * hidden * 4 + hidden * TIER.heads + head
    block = mixer + 2 * hidden * wide + 2 * hidden
    return TIER.layers * block + TIER.text.vocabulary * hidden + hidden


@pytest.mark.parametrize("share", [0.985, 1.0, 1.015])
def test_a_candidate_of_the_baselines_size_has_the_baseline_as_its_twin(share: float) -> None:
    assert size_twin(round(share * size(PLAIN)), TIER, size) == PLAIN


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 1.03, 1.1, 1.5, 2.0, 4.0])
def test_a_twin_has_the_candidates_parameters(share: float) -> None:
    target = round(share * size(PLAIN))
    twin = size_twin(target, TIER, size)
    assert matched(size(twin), target)
    assert twin.hidden % (2 * TIER.heads) == 0
    assert (twin.hidden > PLAIN.hidden) == (share > 1.15)
    assert twin.factor == 1.0


def test_what_the_width_leaves_goes_to_the_mlp() -> None:
    target = round(1.05 * size(PLAIN))
    twin = size_twin(target, TIER, size)
    assert twin.hidden == PLAIN.hidden
    assert twin.expansion > PLAIN.expansion
    assert abs(size(twin) - target) < 0.005 * target < TOLERANCE * target


def test_a_width_at_which_the_baseline_cannot_be_built_is_passed_over() -> None:
    def some(setup: Setup) -> int | None:
        return None if setup.hidden in (52, 60) else size(setup)

    target = size(PLAIN.model_copy(update={"hidden": 60}))
    twin = size_twin(target, TIER, some)
    assert twin.hidden == 56
    assert matched(size(twin), target)


def test_no_size_that_comes_near_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be resized"):
        size_twin(500, TIER, size)
