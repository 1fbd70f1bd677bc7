"""What a campaign finds where there is nothing to be found: false claims, and the best of luck."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from move37.evaluation.statistics.intervals import CONFIDENCE, Array, Interval, share_interval
from move37.files import write_atomically
from move37.records import Finite, Provenance, Value, content_id

# Draws of the best of many: its 95 % point is then known to about a hundredth of a sigma.
DRAWS = 4000
LEAST_DECISIONS, MOST_FALSE = 300, 0.01

Origin = Literal["real", "drawn", "resampled"]


class Decisions(Value):
    """Claims about null candidates, each of which is false if it says `discovery`.

    `sure` counts those with p under 0.001, however small the gain: what the least gain held back.
    """

    origin: Origin
    campaigns: int
    candidates: int
    decisions: int
    false_claims: int
    sure: int

    @property
    def interval(self) -> Interval:
        """Where the share of false claims lies."""
        return share_interval(self.false_claims, self.decisions)

    @classmethod
    def joined(cls, parts: Sequence[Decisions]) -> Decisions:
        """Add up campaigns of one kind; at least one."""
        first = parts[0]
        return first.model_copy(
            update={
                name: sum(getattr(part, name) for part in parts)
                for name in ("campaigns", "decisions", "false_claims", "sure")
            }
        )


class Best(Value):
    """By how many nats the best of `tries` null candidates beats the baseline's mean.

    At one seed each. `high` is passed by one campaign in twenty.
    """

    tries: int
    median: Finite
    high: Finite


class Null(Value):
    """The null of a tier on one machine: `losses` are those of the root at as many seeds."""

    tier: str
    root: str
    losses: tuple[Finite, ...]
    baseline_seeds: int
    decisions: tuple[Decisions, ...]
    provenance: Provenance

    @property
    def count(self) -> int:
        """How many decisions were made in all."""
        return sum(part.decisions for part in self.decisions)

    @property
    def false_claims(self) -> int:
        """How many of them were false claims."""
        return sum(part.false_claims for part in self.decisions)

    @property
    def passed(self) -> bool:
        """Whether enough was decided, and at most one in a hundred claimed."""
        few = self.false_claims <= MOST_FALSE * self.count
        return self.count >= LEAST_DECISIONS and few

    def best_of(self, tries: int, origin: Origin = "drawn") -> Best:
        """Return the distribution of the best improvement among `tries` null candidates.

        `drawn` from a normal of the measured SD, `resampled` from the measured losses.

        Raises:
            ValueError: there was no try.
        """
        if tries < 1:
            raise ValueError("the best of none has no improvement")
        rng, losses = np.random.default_rng(0), np.array(self.losses)

        def draw(count: int) -> Array:
            if origin == "resampled":
                return rng.choice(losses, (DRAWS, count))
            return rng.normal(losses.mean(), losses.std(ddof=1), (DRAWS, count))

        best = draw(self.baseline_seeds).mean(axis=1) - draw(tries).min(axis=1)
        return Best(
            tries=tries,
            median=float(np.median(best)),
            high=float(np.quantile(best, CONFIDENCE)),
        )


def save_null(null: Null, folder: Path, code: str) -> Path:
    """Keep the null of a root's code where campaigns of the same machine and tier look for it."""
    path = _path(folder, null.tier, null.provenance, code)
    write_atomically(path, null.model_dump_json(indent=1))
    return path


def load_null(folder: Path, tier: str, provenance: Provenance, code: str) -> Null | None:
    """Return the null that stands under the same hashes, or None where none was measured."""
    try:
        return Null.model_validate_json(_path(folder, tier, provenance, code).read_text())
    except (FileNotFoundError, ValidationError):
        # Absent, or from a version with other fields: to be measured anew.
        return None


def _path(folder: Path, tier: str, provenance: Provenance, code: str) -> Path:
    return folder / f"null-{tier}-{content_id(provenance.model_dump(), code, length=16)}.json"
