"""Several rankings made one, and an answer in which no source takes all the places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

# The constant of the paper; it flattens the lead of the first places.
DAMPING = 60.0


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[str]], weights: Sequence[float] | None = None
) -> dict[str, float]:
    """Return a score for each id, the best first: the sum of weight / (60 + rank), rank from 1.

    After Cormack, Clarke and Buettcher (SIGIR 2009). An id that a ranking lacks gains nothing
    from it; equal scores stand in the order in which they were met.
    """
    scores: dict[str, float] = {}
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        for rank, identity in enumerate(ranking, start=1):
            scores[identity] = scores.get(identity, 0.0) + weight / (DAMPING + rank)
    return by_score(scores)


def by_score(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the scores, the highest first; equal ones keep their order."""
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


def spread(ranked: Sequence[str], source: Callable[[str], str], k: int) -> list[str]:
    """Return `k` ids: the best of each source first, further ones only where places are left."""
    first: dict[str, str] = {}
    for identity in ranked:
        first.setdefault(source(identity), identity)
    best = list(first.values())
    taken = set(best)
    return [*best, *(identity for identity in ranked if identity not in taken)][:k]
