"""The matched twin: the baseline at the candidate's number of parameters."""

from __future__ import annotations

from collections.abc import Callable

from move37.evaluation.tiers import Tier
from move37.evaluation.verification.trial import Setup

# Share by which the sizes of a twin and its candidate may differ.
TOLERANCE = 0.02
MOST_WIDTHS = 256

# Parameters of the baseline at a setup; None where it cannot be built at that width.
Count = Callable[[Setup], int | None]


def plain_setup(tier: Tier) -> Setup:
    """Return how the tier itself trains."""
    return Setup(hidden=tier.hidden, expansion=tier.expansion)


def matched(parameters: int, target: int) -> bool:
    """Whether two sizes are the same within the tolerance."""
    return abs(parameters - target) <= TOLERANCE * target


def size_twin(target: int, tier: Tier, count: Count) -> Setup:
    """Return the setup at which the baseline has `target` parameters, within two per cent.

    The width goes first, in steps that give every head an even number of channels; what is left
    goes to the MLP. A candidate of the baseline's size has the baseline itself as its twin.

    Raises:
        ValueError: no setup comes near enough.
    """
    plain = plain_setup(tier)
    size = count(plain)
    if size is None:
        raise ValueError("the baseline cannot be built at the size of its tier")
    if matched(size, target):
        return plain
    best, size = _widest(plain, size, target, tier.heads, count)
    return _filled(best, size, target, tier.layers, count)


def _widest(setup: Setup, size: int, target: int, heads: int, count: Count) -> tuple[Setup, int]:
    """Return the widest model that is no larger than the target, or the narrowest there is."""
    step = 2 * heads
    first = setup.hidden // step * step
    wider = range(first + step, first + MOST_WIDTHS * step, step)
    narrower = range(first, 0, -step)
    for hidden in narrower if size > target else wider:
        tried = setup.model_copy(update={"hidden": hidden})
        found = count(tried)
        if found is None:
            continue
        if found > target and size <= target:
            break
        falls = size > target >= found
        setup, size = tried, found
        if falls:
            break
    return setup, size


def _filled(setup: Setup, size: int, target: int, layers: int, count: Count) -> Setup:
    """Return the setup with the MLP as wide as the target leaves room for."""
    if matched(size, target):
        return setup
    hidden = setup.hidden
    # A channel of the MLP has a row and a column in every layer.
    width = int(hidden * setup.expansion) + round((target - size) / (2 * layers * hidden))
    # Half a channel more: the model rounds down, and a quotient may come out just below.
    expansion = (max(1, width) + 0.5) / hidden
    closed = setup.model_copy(update={"expansion": expansion})
    found = count(closed)
    if found is None or not matched(found, target):
        raise ValueError(f"the baseline cannot be resized to {target:,} parameters: {found}")
    return closed
