"""What a box tells is a claim: here it is read, bounded, and refused when it is nonsense."""

from __future__ import annotations

import math
from typing import Any

# A layer with more parameter tensors than these is no token mixer.
LONGEST_LIST = 4096
Told = dict[str, Any]


class Unsound(Exception):
    """What a box returned cannot be judged: NaN, a wrong shape, or nonsense in its claims."""


def number(told: Told, name: str, largest: float) -> float:
    """Return a claimed figure when it is a number from 0 to `largest`."""
    return _bounded(told.get(name), name, largest)


def numbers(told: Told, name: str, largest: float) -> list[float]:
    """Return a claimed list of numbers from 0 to `largest`."""
    return [_bounded(value, name, largest) for value in _list(told, name)]


def words(told: Told, name: str) -> list[str]:
    """Return a claimed list of short texts."""
    values = _list(told, name)
    if not all(isinstance(value, str) and len(value) <= 100 for value in values):
        raise Unsound(f"the process told no texts for {name!r}")
    return [str(value) for value in values]


def _list(told: Told, name: str) -> list[object]:
    values = told.get(name)
    if not isinstance(values, list) or len(values) > LONGEST_LIST:
        raise Unsound(f"the process told no list for {name!r}")
    return values


def _bounded(value: object, name: str, largest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unsound(f"the process told no number for {name!r}")
    # Compared before any conversion: a whole number may be too long for a float.
    if not 0 <= value <= largest or not math.isfinite(value):
        raise Unsound(f"the process told a number for {name!r} that cannot be")
    return float(value)
