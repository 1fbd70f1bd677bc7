"""Where the ideas of a campaign came from, and which papers and lessons paid."""

from __future__ import annotations

import math
from collections.abc import Sequence

from move37.records import Candidate, Experiment, Finite, Measured, Value

# The best quarter of a campaign, as the gallery is held against all designs in ASI-Arch's Table 3.
BEST = 0.25
Shares = dict[str, float]
SOURCES = ("papers", "own analysis", "neither")


class Origins(Value):
    """Shares of ideas by source, of all designs and of the fittest quarter; each sums to one."""

    ideas: int
    best: int
    all_shares: dict[str, Finite]
    best_shares: dict[str, Finite]


class Paid(Value):
    """What became of one cognition or lesson: how often shown and used, and what designs gained.

    `gain` is the mean fall of held-out loss on text against the parent, over the measured designs
    that say they used it, in nats per token, and `noise` one standard deviation of that mean from
    the baseline's seeds; both are None where nothing was measured.
    """

    id: str
    shown: int
    used: int
    measured: int
    gain: Finite | None
    noise: Finite | None


def origins(experiments: Sequence[Experiment]) -> Origins:
    """Return where ideas came from; one that rests on papers and lessons counts half for each.

    After Table 3 of ASI-Arch (arXiv 2507.18074). What a design rests on is its author's word; that
    it had been shown to the author is checked.
    """
    ideas = [one for one in experiments if one.proposal is not None]
    scored = sorted((one for one in ideas if one.fitness is not None), key=_fitness, reverse=True)
    best = scored[: math.ceil(len(scored) * BEST)]
    return Origins(
        ideas=len(ideas), best=len(best), all_shares=_shares(ideas), best_shares=_shares(best)
    )


def payoffs(experiments: Sequence[Experiment], root: Candidate, sd: float) -> list[Paid]:
    """Return what each cognition and lesson has paid that was used, the best first.

    `sd` is the standard deviation of the baseline's loss over seeds: a gain is a difference of two
    runs, so that of n designs has a deviation of sd * sqrt(2 / n).
    """
    losses = {0: root.loss} | {
        one.number: one.outcome.loss() for one in experiments if isinstance(one.outcome, Measured)
    }
    shown: dict[str, int] = {}
    used: dict[str, list[Experiment]] = {}
    for one in experiments:
        if one.proposal is None:
            continue
        for identity in one.proposal.shown:
            shown[identity] = shown.get(identity, 0) + 1
        for identity in (*one.proposal.cognition_ids, *one.proposal.lesson_ids):
            used.setdefault(identity, []).append(one)
    paid = []
    for identity, users in used.items():
        known = [e for e in users if e.number in losses and e.parent in losses]
        gains = [losses[e.parent] - losses[e.number] for e in known]
        paid.append(
            Paid(
                id=identity,
                shown=shown.get(identity, 0),
                used=len(users),
                measured=len(gains),
                gain=sum(gains) / len(gains) if gains else None,
                noise=sd * math.sqrt(2.0 / len(gains)) if gains else None,
            )
        )
    return sorted(paid, key=lambda one: (one.gain is None, -(one.gain or 0.0), one.id))


def _fitness(experiment: Experiment) -> float:
    return experiment.fitness or 0.0


def _shares(ideas: Sequence[Experiment]) -> Shares:
    sums = dict.fromkeys(SOURCES, 0.0)
    for one in ideas:
        papers = bool(one.proposal and one.proposal.cognition_ids)
        lessons = bool(one.proposal and one.proposal.lesson_ids)
        sources = [s for s, used in zip(SOURCES, (papers, lessons), strict=False) if used]
        for source in sources or SOURCES[2:]:
            sums[source] += 1.0 / max(1, len(sources))
    return {source: value / len(ideas) for source, value in sums.items()} if ideas else sums
