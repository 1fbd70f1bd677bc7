"""What a skill gives: rows of token ids, which targets count, and what each costs at least."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from move37.evaluation.data import Array


@dataclass(frozen=True)
class Rows:
    """Tokens [N, T + 1], the mask [N, T] of the targets that count, and their floor [N, T].

    The floor is the entropy in nats of a target given all tokens before it and the rule of the
    skill; NaN where no exact one is known. It is known wherever the mask is set.
    """

    tokens: Array
    mask: Array
    floor: Array


# Seed and number of rows.
Draw = Callable[[int, int], Rows]


@dataclass(frozen=True)
class Skill:
    """One task: how rows for training and for testing are drawn.

    `chance` is the loss in nats of a uniform guess among the answers that can occur at all.
    """

    vocabulary: int
    chance: float
    train: Draw
    test: Draw


def build_rows(tokens: Array, counts: Array, floor: Array) -> Rows:
    """Make rows of tokens, marks and floors [N, T + 1]; the first token is no target."""
    return Rows(
        tokens.astype(np.uint16),
        np.ascontiguousarray(counts[:, 1:], np.uint8),
        np.ascontiguousarray(floor[:, 1:], np.float64),
    )


def items_in(length: int, tokens_each: int) -> int:
    """Return how many items a row holds when each takes so many tokens: a power of two, 2 or more.

    Raises:
        ValueError: the length is no such multiple.
    """
    items, rest = divmod(length, tokens_each)
    if rest or items < 2 or items & (items - 1):
        raise ValueError(f"length {length} is not {tokens_each} times a power of two")
    return items


def levels_up_to(largest: int) -> list[int]:
    """Return 2, 4, 8, ... up to the largest, which is a power of two."""
    return [2**power for power in range(1, largest.bit_length())]
