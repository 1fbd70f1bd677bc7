"""Whether a proposal was tried before: by its program, or by the idea that it states."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from move37.memory.embedding import Embedder
from move37.memory.programs import fingerprint, nearest_code, new_numbers, outline
from move37.memory.vectors import Texts, own_name
from move37.records import Candidate, Experiment, Failed, Measured, Novelty, Proposal

# Cosine from which two motivations state one idea. Among 300 mutations of the offline grammar,
# "widens the keys" and "widens the values" (with the same reason given) came as near as 0.974;
# what lies above 0.98 had the same words.
SAME_IDEA: Final = 0.98
# Similarity from which two programs have all operations in common; rounding only.
SAME_CODE: Final = 0.999
# Similarity and cosine from which two designs are one, told in other words. In the labelled set
# (`benchmarks/novelty.py`) temporaries, methods for functions and other names leave the similarity
# at 1, and one swapped mechanism comes up to 0.981; of ideas told in other words the cosine is
# 0.65 or more in nine of ten, and of unlike ideas 0.25 at most.
NEAR_CODE: Final = 0.985
NEAR_IDEA: Final = 0.6
NEIGHBOURS: Final = 5

Alike = Sequence[tuple[int, float]]
Tried = Mapping[int, Experiment]

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")


class Motivations:
    """The motivations of one campaign, searched before one number."""

    def __init__(self, where: Path | str, campaign: str, embedder: Embedder | None = None) -> None:
        """Open the collection on a path or at a URL.

        Raises:
            UserError: the path or the server cannot be used.
        """
        self._texts = Texts(where, own_name(campaign, "motivations"), embedder, replace=True)

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

    def nearest(self, text: str, before: int, k: int = 5) -> tuple[tuple[int, float], ...]:
        """Return numbers and cosines of the nearest motivations, the nearest first."""
        found = self._texts.nearest(text, k, passes=lambda of: of["number"] < before)
        return tuple((int(one.metadata["number"]), one.cosine) for one in found)

    def _put(self, experiments: Sequence[Experiment]) -> None:
        told = [(one, one.proposal) for one in experiments if one.proposal]
        self._texts.put(
            [one.id for one, _ in told],
            [proposal.motivation for _, proposal in told],
            [{"number": one.number} for one, _ in told],
        )


def check_novelty(
    proposal: Proposal,
    history: Sequence[Experiment],
    nearest: Sequence[tuple[int, float]],
    root: Candidate | None = None,
) -> Novelty:
    """Compare a proposal with the history; `nearest` comes from `Motivations.nearest`.

    Refused experiments were never tried, so they stand in nobody's way. Programs are asked before
    ideas, and the surest measure first, so that the reason names it.
    """
    mark = fingerprint(proposal.code)
    tried = {one.number: one for one in history if one.status != "refused" and one.proposal}
    codes = {number: _code(one) for number, one in tried.items()}
    alike = nearest_code(proposal.code, codes)
    reason = (
        _same_as_root(mark, root)
        or _same_program(mark, alike, tried)
        or _same_but_for_numbers(proposal, alike, tried)
        or _same_design(proposal, alike, nearest, tried)
        or _same_idea(proposal, nearest, tried)
    )
    return Novelty(
        verdict="repeat" if reason else "new",
        reason=reason or "neither its program nor its idea was tried in this campaign",
        fingerprint=mark,
        nearest=tuple(nearest),
        nearest_code=tuple(alike[:NEIGHBOURS]),
    )


def unchecked(proposal: Proposal) -> Novelty:
    """Return what a campaign records that runs without the check."""
    return Novelty(
        verdict="new",
        reason="not checked: the campaign runs without novelty",
        fingerprint=fingerprint(proposal.code),
    )


def _code(experiment: Experiment) -> str:
    return experiment.proposal.code if experiment.proposal else ""


def _same_as_root(mark: str, root: Candidate | None) -> str | None:
    if root is None or fingerprint(root.code) != mark:
        return None
    return "the program is the root template unchanged: change a mechanism"


def _same_program(mark: str, alike: Alike, tried: Tried) -> str | None:
    for number, similar in sorted(alike):
        one = tried[number]
        # What was proposed counts, and what the engineer made of it; only the former is recorded.
        before = one.novelty.fingerprint if one.novelty else ""
        # Equal programs have equal operations; without any, as in text, only the marks are left.
        may_be_equal = similar >= SAME_CODE or not similar
        if mark == before or (may_be_equal and mark == fingerprint(_code(one))):
            return (
                f"the program repeats experiment {number}, which {what_came_of(one)}; they are "
                "the same but for names, comments and order: change what it computes"
            )
    return None


def _same_but_for_numbers(proposal: Proposal, alike: Alike, tried: Tried) -> str | None:
    for number, similar in sorted(alike):
        code = _code(tried[number])
        if similar < SAME_CODE or not _same_mechanisms(proposal, tried[number]):
            continue
        changed = new_numbers(proposal.code, code)
        if outline(proposal.code) == outline(code) and not _argued(changed, proposal.motivation):
            told = ", ".join(f"{one:g}" for one in changed[:5]) or "fewer numbers"
            return (
                f"the program repeats experiment {number} but for numbers (now {told}), with the "
                f"same mechanisms, and the motivation argues for none of them; that one "
                f"{what_came_of(tried[number])}: change a mechanism, or say why this number"
            )
    return None


def _same_design(
    proposal: Proposal, alike: Alike, nearest: Sequence[tuple[int, float]], tried: Tried
) -> str | None:
    similarity = dict(alike)
    for number, cosine in nearest:
        similar = similarity.get(number, 0.0)
        if similar < NEAR_CODE or cosine < NEAR_IDEA:
            continue
        argued = _argued(new_numbers(proposal.code, _code(tried[number])), proposal.motivation)
        if _same_mechanisms(proposal, tried[number]) and not argued:
            return (
                f"the design repeats experiment {number} in other words (similarity of the code "
                f"{similar:.3f}, cosine of the motivations {cosine:.3f}, same mechanisms), which "
                f"{what_came_of(tried[number])}: change a mechanism"
            )
    return None


def _same_idea(
    proposal: Proposal, nearest: Sequence[tuple[int, float]], tried: Tried
) -> str | None:
    for number, cosine in nearest:
        earlier = tried[number].proposal if number in tried else None
        if cosine < SAME_IDEA or earlier is None:
            continue
        # "from 4 taps to 8" and "from 8 taps to 16" embed alike and are two ideas.
        same_numbers = _numbers(proposal.motivation) == _numbers(earlier.motivation)
        if same_numbers and _same_mechanisms(proposal, tried[number]):
            return (
                f"the idea repeats experiment {number} (cosine {cosine:.3f}, same mechanisms), "
                f"which {what_came_of(tried[number])}: change another mechanism"
            )
    return None


def _same_mechanisms(proposal: Proposal, experiment: Experiment) -> bool:
    earlier = experiment.proposal.mechanisms if experiment.proposal else ()
    return set(proposal.mechanisms) == set(earlier)


def _argued(changed: Sequence[float], motivation: str) -> bool:
    """Whether a motivation names one of the changed numbers, as it is or in per cent."""
    # People round: 0.0314 may stand for pi / 100.
    named = [float(text) for text in _numbers(motivation)]
    values = [value for one in changed for value in (abs(one), 100 * abs(one))]
    return any(math.isclose(value, name, rel_tol=1e-3) for value in values for name in named)


def what_came_of(experiment: Experiment) -> str:
    """Return the end of an experiment as the rest of a sentence."""
    outcome = experiment.outcome
    if isinstance(outcome, Failed) and outcome.stage == "pruned":
        return f"was stopped early ({outcome.reason})"
    if isinstance(outcome, Failed):
        return f"failed at the stage {outcome.stage!r} ({' '.join(outcome.reason.split())[:200]})"
    if isinstance(outcome, Measured) and experiment.judgement:
        return f"reached fitness {experiment.judgement.fitness:.4f}"
    return f"ended as {experiment.status}"


def _numbers(text: str) -> list[str]:
    return sorted(NUMBER.findall(text))
