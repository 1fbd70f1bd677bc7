"""What a box tells is a claim: here it is read, bounded, and refused when it is nonsense."""

from __future__ import annotations

import math
import re
from typing import Any

# A layer with more parameter tensors than these is no token mixer.
LONGEST_LIST = 4096
LONGEST_NAME = 80
NO_NAME = re.compile(r"[^A-Za-z0-9_.]")
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
    """Return a claimed list of names, with nothing in them that could be read as a sentence."""
    values = _list(told, name)
    if not all(isinstance(value, str) for value in values):
        raise Unsound(f"the process told no names for {name!r}")
    return [NO_NAME.sub("?", str(value)[:LONGEST_NAME]) for value in values]


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
