"""Which seeds a verification may use: none of them is ever seen by selection.

Selection, noise floors and skills count their seeds from 0; no campaign comes near ten thousand.
Tuning has seeds of its own, or the best of three learning rates would be chosen on the very seeds
that then speak for it, and so has the search for the cause.
"""

from __future__ import annotations

from pydantic import Field

from move37.records import Value

FIRST_HOLDOUT = 10_000
FIRST_TUNING = 20_000
FIRST_CAUSE = 30_000
TUNING_SEEDS = 2
CAUSE_SEEDS = 4


class Seeds(Value):
    """The seeds of one verification, in the order in which runs are paired."""

    tuning: tuple[int, ...] = Field(min_length=1)
    holdout: tuple[int, ...] = Field(min_length=2)
    cause: tuple[int, ...] = Field(min_length=2)


def seeds_of(holdout: int) -> Seeds:
    """Return the seeds of a verification on so many holdout seeds."""
    return Seeds(
        tuning=tuple(range(FIRST_TUNING, FIRST_TUNING + TUNING_SEEDS)),
        holdout=tuple(range(FIRST_HOLDOUT, FIRST_HOLDOUT + holdout)),
        cause=tuple(range(FIRST_CAUSE, FIRST_CAUSE + CAUSE_SEEDS)),
    )
