"""The candidate pool: which design is changed next, and which ones are shown beside it.

After ASI-Arch (arXiv 2507.18074, section 3): the 50 fittest candidates stay, the parent comes
from the top 10 and 4 references from ranks 11-50. While the pool is smaller, the same share of it
(a fifth) may become parent, but at least 3, so that one lucky measurement does not found the
whole family. The root template competes with its own fitness like any other candidate.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from move37.records import Candidate, Experiment, Measured, Selection

POOL = 50
PARENTS = 10
FEWEST_PARENTS = 3
REFERENCES = 4


def select(history: Sequence[Experiment], root: Candidate, number: int, seed: int) -> Selection:
    """Choose parent and references of experiment `number`; equal arguments, equal choice.

    Experiments from `number` on are ignored; failed, refused and unjudged ones are never chosen.
    """
    ranked = rank(history, root, before=number)
    if len(ranked) == 1:
        return Selection(
            parent=root, reason="nothing has been scored yet, so the root template is the parent"
        )
    rng = random.Random(f"{seed}:{number}:select")
    breeders = parents_in(len(ranked))
    parent = rng.randrange(breeders)
    references = _references(len(ranked), breeders, parent, rng)
    return Selection(
        parent=ranked[parent],
        references=tuple(ranked[place] for place in references),
        reason=_reason(ranked, breeders, parent, references),
    )


def rank(
    history: Sequence[Experiment], root: Candidate, before: int | None = None
) -> list[Candidate]:
    """Return the pool, fittest first; among equals the older comes first."""
    earlier = [one for one in history if before is None or one.number < before]
    scored = [candidate for one in earlier if (candidate := as_candidate(one)) is not None]
    return sorted([root, *scored], key=lambda one: (-one.fitness, one.number))[:POOL]


def as_candidate(experiment: Experiment) -> Candidate | None:
    """Return what a researcher is shown of an experiment, or None when it was not scored."""
    proposal, outcome = experiment.proposal, experiment.outcome
    if proposal is None or experiment.judgement is None or not isinstance(outcome, Measured):
        return None
    return Candidate(
        number=experiment.number,
        name=proposal.name,
        motivation=proposal.motivation,
        code=proposal.code,
        fitness=experiment.judgement.fitness,
        loss=outcome.loss(),
        lessons=experiment.analysis.lessons if experiment.analysis else (),
    )


def parents_in(size: int) -> int:
    """Return how many of a pool of this size may become parent."""
    share = math.ceil(size * PARENTS / POOL)
    return min(size, PARENTS, max(FEWEST_PARENTS, share))


def _references(size: int, breeders: int, parent: int, rng: random.Random) -> list[int]:
    below = list(range(breeders, size))
    chosen = rng.sample(below, min(REFERENCES, len(below)))
    beside = [place for place in range(breeders) if place != parent]
    missing = min(REFERENCES - len(chosen), len(beside))
    return sorted(chosen + rng.sample(beside, missing))


def _reason(
    ranked: Sequence[Candidate], breeders: int, parent: int, references: Sequence[int]
) -> str:
    chosen = ranked[parent]
    who = "the root template" if chosen.number == 0 else f"experiment {chosen.number}"
    ranks = ", ".join(str(place + 1) for place in references)
    return (
        f"{who} has rank {parent + 1} of {len(ranked)} by fitness ({chosen.fitness:.4f}) and was "
        f"drawn from the top {breeders}; the references have rank {ranks}"
    )
