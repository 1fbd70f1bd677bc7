"""Where an experiment of a researcher outside stands, and how that reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from move37.records import Experiment, Noise, Progress, Value
from move37.tools.fencing import fence, one_line
from move37.tools.showing import show_outcome


class Standing(Value):
    """Where an experiment stands.

    A design is `wanted`, or the experiment is `running`, or it has `ended` and is archived, or it
    was `stopped` by something that has to be mended: `reason` says what.
    """

    state: Literal["wanted", "running", "ended", "stopped"]
    number: int
    reason: str = ""
    refused: tuple[str, ...] = ()
    attempts_left: int = 0
    progress: Progress | None = None
    experiment: Experiment | None = None


def show_standing(standing: Standing, noise: Mapping[str, Noise]) -> str:
    """Return where an experiment stands, for a person or another agent."""
    match standing.state:
        case "running":
            return f"{under_way(standing.number, standing.progress)}."
        case "stopped":
            return f"Experiment {standing.number} stands still: {standing.reason}."
        case "wanted" if standing.refused:
            return (
                f"Experiment {standing.number}: the design was refused as a repeat: "
                f"{one_line(standing.refused[-1])} Attempts left: {standing.attempts_left}. "
                "Leave that idea: pick another mechanism and hand in again."
            )
        case "wanted":
            return f"Experiment {standing.number} waits for a design; the brief says for what."
        case "ended":
            assert standing.experiment is not None
            return _show_ended(standing.experiment, noise)


def under_way(number: int, progress: Progress | None) -> str:
    """Return how far a running experiment is."""
    if progress is None or progress.experiment != number:
        return f"Experiment {number} is under way"
    told = f"Experiment {number} is under way: {progress.node} {progress.event}"
    if progress.total:
        told += f", step {progress.step} of {progress.total}"
    return told if progress.loss is None else f"{told}, training loss {progress.loss:.3f}"


def _show_ended(experiment: Experiment, noise: Mapping[str, Noise]) -> str:
    """Return the record of an experiment without its code, which its author knows."""
    proposal, outcome, analysis = experiment.proposal, experiment.outcome, experiment.analysis
    name = one_line(proposal.name, 80) if proposal else "no design"
    parts = [f"Experiment {experiment.number} has ended: {experiment.status}, {name}."]
    if experiment.reason:
        parts.append(fence(experiment.reason, "reason", 1200))
    if experiment.revisions:
        parts.append(f"The engineer revised the code {len(experiment.revisions)} times.")
    if outcome is not None:
        parts.append(show_outcome(outcome, noise))
    if proposal:
        parts.append(f"Expected gain: {proposal.expected_gain:.4f} nats per token.")
    if experiment.judgement:
        terms = ", ".join(f"{k} {v:.4f}" for k, v in experiment.judgement.terms.items())
        parts.append(f"Fitness {experiment.judgement.fitness:.4f} ({terms}).")
    if analysis:
        lessons = "\n".join(f"- {lesson}" for lesson in analysis.lessons)
        parts.append(fence(f"{analysis.summary}\n{lessons}", "analysis"))
    return "\n".join(parts)
