"""What a campaign has learned so far about single mechanisms."""

from __future__ import annotations

from collections.abc import Sequence

from move37.memory.pool import as_candidate
from move37.records import Candidate, Experiment


def mechanism_payoffs(
    history: Sequence[Experiment], root: Candidate, root_mechanisms: Sequence[str] = ()
) -> dict[str, float]:
    """Return for each mechanism the mean fitness gain of children that introduced it.

    A gain is the child's fitness minus its parent's; a mechanism is introduced when the child
    names it and the parent does not. Unscored children say nothing. The template knows no tags of
    its own, so the caller names those of the root.
    """
    fitness = {0: root.fitness}
    mechanisms = {0: frozenset(root_mechanisms)}
    gains: dict[str, list[float]] = {}
    for experiment in sorted(history, key=lambda one: one.number):
        candidate = as_candidate(experiment)
        if candidate is None or experiment.proposal is None:
            continue
        own = frozenset(experiment.proposal.mechanisms)
        fitness[candidate.number], mechanisms[candidate.number] = candidate.fitness, own
        if experiment.parent in fitness:
            for tag in own - mechanisms[experiment.parent]:
                gains.setdefault(tag, []).append(candidate.fitness - fitness[experiment.parent])
    return {tag: sum(values) / len(values) for tag, values in sorted(gains.items())}
