"""What is believed of each design's true loss, and parents drawn from that belief.

Losses are those of text, in nats per token, and lower is better.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from move37.evaluation.statistics.intervals import Array
from move37.evaluation.statistics.shrinkage import (
    child_prior,
    empirical_prior,
    heritability,
    tree_posterior,
)
from move37.memory.pool import REFERENCES, as_candidate
from move37.records import Candidate, Estimate, Experiment, Failed, Measured, Noise, Selection

TASK = "text"
# The tier's tau was measured on so many designs.
TIER_DESIGNS = 12
# In units of the tier's tau: a design that hardly learns must not widen the spread of the others.
FARTHEST = 4.0


@dataclass(frozen=True)
class Belief:
    """Posterior mean and SD [N] of the true losses of `candidates`, the root first.

    `barren` counts the last children of each that brought nothing, and `tau` scales that. All
    designs spread as `N(mu, tau^2)`, and children keep the share `heredity` of a parent's lead.
    """

    candidates: tuple[Candidate, ...]
    mean: Array
    sd: Array
    barren: tuple[int, ...]
    tau: float
    mu: float
    heredity: float

    def of(self, number: int) -> Estimate:
        """Return what is believed of one design; KeyError when it is none of these."""
        place = self._place(number)
        return Estimate(mean=float(self.mean[place]), sd=float(self.sd[place]))

    def of_child(self, number: int) -> Estimate:
        """Return what is believed of a child of one design before it is measured."""
        place = self._place(number)
        known = float(self.mean[place]), float(self.sd[place]) ** 2
        mean, variance = child_prior(known, (self.mu, self.tau), self.heredity)
        return Estimate(mean=mean, sd=math.sqrt(variance))

    def _place(self, number: int) -> int:
        for place, one in enumerate(self.candidates):
            if one.number == number:
                return place
        raise KeyError(f"design {number} is not among those believed of")


def believe(earlier: Sequence[Experiment], root: Candidate, noise: Noise, tau: float) -> Belief:
    """Shrink the losses of the root and of all scored experiments, which come by number.

    sigma is the noise of the baseline's seeds. The spread is `tau^2 = (12 t^2 + N s^2) / (12 + N)`,
    t the tier's and s the one estimated from the N designs so far; the mean and the heritability
    are estimated too (`move37.evaluation.statistics.shrinkage`).
    """
    scored = [(e, told) for e in earlier if (told := as_candidate(e)) is not None]
    candidates = (root, *(told for _, told in scored))
    places = {one.number: place for place, one in enumerate(candidates)}
    parents = (None, *(places.get(e.parent) for e, _ in scored))
    losses = np.array([one.loss for one in candidates])
    seeds = np.array([noise.seeds, *(_seeds(e) for e, _ in scored)])
    variance = noise.sd**2 / seeds
    near = np.clip(losses, root.loss - FARTHEST * tau, root.loss + FARTHEST * tau)
    mu, spread = empirical_prior(near, variance) if scored else (root.loss, tau)
    count = len(scored)
    tau = math.sqrt((TIER_DESIGNS * tau**2 + count * spread**2) / (TIER_DESIGNS + count))
    pairs = [(above, here) for here, above in enumerate(parents) if above is not None]
    above, here = (np.array([pair[end] for pair in pairs], dtype=int) for end in (0, 1))
    heredity = heritability(near[above], near[here], variance[above], mu, tau)
    mean, square = tree_posterior(losses, variance, parents, (mu, tau), heredity)
    barren = _barren(earlier, places, mean)
    return Belief(candidates, mean, np.sqrt(square), barren, tau, mu, heredity)


def discount(barren: int, tau: float) -> float:
    """Nats that are added to a parent's drawn loss after so many children that brought nothing.

    `tau ln((k + 2) / 2)`: the chance that the next child is better is `1 / (k + 2)` by Laplace's
    rule of succession and 1/2 for a parent without children, and each factor of e in that is held
    worth one tau of loss. 0.4 tau after one such child, 0.7 after two, 1.8 after ten; it has no
    upper end, so every parent is left at last, and it is gone after a child that is better.
    """
    return tau * math.log((barren + 2) / 2)


def draw_parent(belief: Belief, seed: int, number: int) -> Selection:
    """Draw a parent by Thompson sampling (Thompson 1933), exhausted ones discounted.

    A loss is drawn for each design from its posterior, the discount is added, and the lowest
    becomes parent. The references are the four lowest others of a second draw, undiscounted:
    an exhausted parent is still good to learn from.
    """
    rng = random.Random(f"{seed}:{number}:posterior")
    added = np.array([discount(barren, belief.tau) for barren in belief.barren])
    drawn = _draw(belief, rng) + added
    parent = int(np.argmin(drawn))
    order = [int(place) for place in np.argsort(_draw(belief, rng), kind="stable")]
    references = [place for place in order if place != parent][:REFERENCES]
    return Selection(
        parent=belief.candidates[parent],
        references=tuple(belief.candidates[place] for place in references),
        reason=_reason(belief, parent, float(drawn[parent]), references),
    )


def _draw(belief: Belief, rng: random.Random) -> Array:
    noise = [rng.normalvariate(0.0, 1.0) for _ in belief.candidates]
    return np.asarray(belief.mean + belief.sd * np.array(noise))


def _seeds(experiment: Experiment) -> int:
    assert isinstance(experiment.outcome, Measured)
    return sum(score.task == TASK for score in experiment.outcome.scores)


def _barren(earlier: Sequence[Experiment], places: dict[int, int], mean: Array) -> tuple[int, ...]:
    """Count for each place the children since the last one with a lower posterior mean."""
    counts: dict[int, int] = defaultdict(int)
    for child in earlier:
        place, parent = places.get(child.number), places.get(child.parent)
        if parent is None:
            continue
        if place is not None and mean[place] < mean[parent]:
            counts[parent] = 0
        elif place is not None or _fruitless(child):
            counts[parent] += 1
    return tuple(counts[place] for place in range(len(mean)))


def _fruitless(child: Experiment) -> bool:
    """Whether a child without a score speaks against its parent; a provider's silence does not."""
    repeated = child.novelty is not None and child.novelty.verdict == "repeat"
    return isinstance(child.outcome, Failed) or (child.status == "refused" and repeated)


def _reason(belief: Belief, parent: int, drawn: float, references: Sequence[int]) -> str:
    chosen, barren = belief.candidates[parent], belief.barren[parent]
    who = "the root template" if chosen.number == 0 else f"experiment {chosen.number}"
    order = np.argsort(belief.mean, kind="stable").tolist()
    added = discount(barren, belief.tau)
    tired = f", {added:.4f} of it for {barren} children in a row that brought nothing"
    ranks = ", ".join(str(order.index(place) + 1) for place in references)
    return (
        f"{who} has rank {order.index(parent) + 1} of {len(order)} by posterior loss "
        f"({belief.mean[parent]:.4f} ± {belief.sd[parent]:.4f}, measured {chosen.loss:.4f}) and "
        f"the lowest draw from it ({drawn:.4f}{tired if barren else ''}); the references have rank "
        f"{ranks}"
    )
