"""Whether a proposal was tried before: by its program, or by the idea that it states."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from move37.memory.embedding import Embedder
from move37.memory.fingerprint import fingerprint
from move37.memory.vectors import Texts
from move37.records import Candidate, Experiment, Failed, Measured, Novelty, Proposal

__all__ = ["SAME_IDEA", "Motivations", "check_novelty", "fingerprint"]

# Cosine from which two motivations state one idea. Among 300 mutations of the offline grammar,
# "widens the keys" and "widens the values" (with the same reason given) came as near as 0.974;
# what lies above 0.98 had the same words.
SAME_IDEA: Final = 0.98

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")


class Motivations:
    """The motivations of all experiments, searched within one campaign and before one number."""

    def __init__(self, where: Path | str, embedder: Embedder | None = None) -> None:
        """Open the collection on a path or at a URL.

        Raises:
            UserError: the path or the server cannot be used.
        """
        self._texts = Texts(where, "motivations", embedder, replace=True)

    def close(self) -> None:
        """Let go of the collection."""
        self._texts.close()

    def add(self, experiment: Experiment) -> None:
        """Add the motivation of one experiment; doing so twice changes nothing."""
        self._put([experiment])

    def sync(self, experiments: Iterable[Experiment]) -> int:
        """Add those that are missing, as after a kill or a new embedding model; return how many."""
        known = self._texts.known()
        missing = [one for one in experiments if one.proposal and one.id not in known]
        self._put(missing)
        return len(missing)

    def nearest(
        self, text: str, campaign: str, before: int, k: int = 5
    ) -> tuple[tuple[int, float], ...]:
        """Return numbers and cosines of the nearest motivations, the nearest first."""
        within: dict[str, Any] = {"$and": [{"campaign": campaign}, {"number": {"$lt": before}}]}
        found = self._texts.nearest(text, k, within)
        return tuple((int(one.metadata["number"]), one.cosine) for one in found)

    def _put(self, experiments: Sequence[Experiment]) -> None:
        told = [(one, one.proposal) for one in experiments if one.proposal]
        self._texts.put(
            [one.id for one, _ in told],
            [proposal.motivation for _, proposal in told],
            [{"campaign": one.campaign, "number": one.number} for one, _ in told],
        )


def check_novelty(
    proposal: Proposal,
    history: Sequence[Experiment],
    nearest: Sequence[tuple[int, float]],
    root: Candidate | None = None,
) -> Novelty:
    """Compare a proposal with the history; `nearest` comes from `Motivations.nearest`.

    Refused experiments were never tried, so they stand in nobody's way.
    """
    mark = fingerprint(proposal.code)
    tried = {one.number: one for one in history if one.status != "refused" and one.proposal}
    reason = (
        _same_as_root(mark, root)
        or _same_program(mark, tried.values())
        or _same_idea(proposal, tried, nearest)
    )
    return Novelty(
        verdict="repeat" if reason else "new",
        reason=reason or "neither its program nor its idea was tried in this campaign",
        fingerprint=mark,
        nearest=tuple(nearest),
    )


def unchecked(proposal: Proposal) -> Novelty:
    """Return what a campaign records that runs without the check."""
    return Novelty(
        verdict="new",
        reason="not checked: the campaign runs without novelty",
        fingerprint=fingerprint(proposal.code),
    )


def _same_as_root(mark: str, root: Candidate | None) -> str | None:
    if root is None or fingerprint(root.code) != mark:
        return None
    return "the program is the root template unchanged: change a mechanism"


def _same_program(mark: str, tried: Iterable[Experiment]) -> str | None:
    for one in sorted(tried, key=lambda one: one.number):
        before = one.novelty.fingerprint if one.novelty else ""
        after = fingerprint(one.proposal.code) if one.proposal else ""
        if mark in (before, after):
            return (
                f"the program repeats experiment {one.number}, which {what_came_of(one)}: "
                "change what it computes"
            )
    return None


def _same_idea(
    proposal: Proposal, tried: dict[int, Experiment], nearest: Sequence[tuple[int, float]]
) -> str | None:
    for number, cosine in nearest:
        earlier = tried[number].proposal if number in tried else None
        if cosine < SAME_IDEA or earlier is None:
            continue
        # "from 4 taps to 8" and "from 8 taps to 16" embed alike and are two ideas.
        same_numbers = _numbers(proposal.motivation) == _numbers(earlier.motivation)
        if same_numbers and set(proposal.mechanisms) == set(earlier.mechanisms):
            return (
                f"the idea repeats experiment {number} (cosine {cosine:.3f}, same mechanisms), "
                f"which {what_came_of(tried[number])}: change another mechanism"
            )
    return None


def what_came_of(experiment: Experiment) -> str:
    """Return the end of an experiment as the rest of a sentence."""
    outcome = experiment.outcome
    if isinstance(outcome, Failed):
        return f"failed at the stage {outcome.stage!r} ({' '.join(outcome.reason.split())[:200]})"
    if isinstance(outcome, Measured) and experiment.judgement:
        return f"reached fitness {experiment.judgement.fitness:.4f}"
    return f"ended as {experiment.status}"


def _numbers(text: str) -> list[str]:
    return sorted(NUMBER.findall(text))
