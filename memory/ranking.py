"""Several rankings made one, and an answer in which no source takes all the places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

# The paper has 60, for rankings of thousands; among some hundred lessons the lead of the first
# places may count more, and 20 did better on the development set of `benchmarks/retrieval.py`.
DAMPING = 20.0
# What the further lessons of a paper add to the score of its best one (same set).
FURTHER = 0.3


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[str]], weights: Sequence[float] | None = None
) -> dict[str, float]:
    """Return a score for each id, the best first: the sum of weight / (20 + rank), rank from 1.

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


def spread(scores: Mapping[str, float], source: Callable[[str], str], k: int) -> list[str]:
    """Return `k` ids: the best of each source first, further ones only where places are left.

    Sources stand by the score of their best id and a part of that of the others: of two papers
    whose best lessons are as near, the one is first that has more to say.
    """
    of: dict[str, list[str]] = {}
    for identity in by_score(scores):
        of.setdefault(source(identity), []).append(identity)
    worth = {
        name: scores[ids[0]] + FURTHER * sum(scores[i] for i in ids[1:]) for name, ids in of.items()
    }
    order = list(by_score(worth))
    rest = [identity for name in order for identity in of[name][1:]]
    return [*(of[name][0] for name in order), *rest][:k]
