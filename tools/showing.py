"""How values read as text: the one wording in which agents see measurements and failures."""

from __future__ import annotations

from collections.abc import Mapping

from move37.records import CurvePoint, Experiment, Failed, GateReport, Measured, Noise, Size
from move37.tools.fencing import fence, one_line

CURVE_ROWS = 8


def code_block(code: str) -> str:
    """Return code in a Markdown fence that is longer than any run of backticks inside it."""
    longest = max((len(run) for run in _backticks(code)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}python\n{code.rstrip()}\n{ticks}"


def _backticks(text: str) -> list[str]:
    """Return the runs of backticks in a text."""
    return "".join(c if c == "`" else " " for c in text).split()


def show_gates(report: GateReport) -> str:
    """Return one line a gate, and what to mend; what the candidate raised is fenced."""
    lines = []
    for gate in report.gates:
        word = "passed" if gate.passed else "FAILED"
        raised = fence(gate.detail, gate.id, 400) if gate.figure is None else ""
        detail = f"; {one_line(gate.detail)}" if gate.detail and not raised else ""
        figures = f"measured {gate.told}, limit {gate.threshold:.3g}"
        advice = f": {one_line(gate.advice)}" if gate.advice and not gate.passed else ""
        lines.append(f"- {gate.id} {gate.name}: {word} ({figures}{detail}){advice}")
        lines += [raised] if raised else []
    return "\n".join(lines)


def show_failed(failed: Failed) -> str:
    """Return stage, reason, gates and log of a failure; what the candidate said is fenced."""
    if failed.stage == "pruned":
        # No fault to mend; the curve says how far it lagged.
        head = "STOPPED EARLY: its training loss lagged behind that of earlier runs."
        return "\n".join((head, failed.reason, show_curve(failed.curve)))
    parts = [f"FAILED at stage {failed.stage}.", fence(failed.reason, "reason", 1200)]
    if failed.gates is not None:
        parts.append(show_gates(failed.gates))
    if failed.log:
        parts.append(fence(failed.log, "log"))
    return "\n".join(parts)


def show_curve(curve: tuple[CurvePoint, ...]) -> str:
    """Return about eight points of each task's training loss in nats per token."""
    lines = []
    for task in dict.fromkeys(point.task for point in curve):
        points = [point for point in curve if point.task == task]
        stride = max(1, len(points) // CURVE_ROWS)
        shown = points[::stride]
        if shown[-1] is not points[-1]:
            shown.append(points[-1])
        steps = ", ".join(f"{point.step}: {point.loss:.4f}" for point in shown)
        lines.append(f"- {task}, training loss at step {steps}")
    return "\n".join(lines)


def show_losses(measured: Measured, noise: Mapping[str, Noise] | None = None) -> str:
    """Return one line a task: held-out loss, and the baseline with its noise where it is known."""
    lines = []
    for task, loss in measured.losses().items():
        line = f"- {task}: held-out loss {loss:.4f} nats per token"
        if noise and task in noise:
            base = noise[task]
            line += f"; baseline {base.mean:.4f}, SD {base.sd:.4f} over {base.seeds} seeds"
        lines.append(line)
    return "\n".join(lines)


def show_size(size: Size) -> str:
    """Return the deterministic counts of a trained model on one line."""
    return (
        f"{size.parameters} parameters ({size.mixer_parameters} in the mixers), "
        f"{size.flops_per_token:.4g} FLOPs per token, {size.state_bytes} bytes of state"
    )


def show_outcome(outcome: Measured | Failed, noise: Mapping[str, Noise] | None = None) -> str:
    """Return losses and size of what was measured, or how it failed."""
    if isinstance(outcome, Failed):
        return show_failed(outcome)
    return f"{show_losses(outcome, noise)}\n{show_size(outcome.size)}"


def show_experiment(experiment: Experiment) -> str:
    """Return what is known of one experiment, code included."""
    parts = [f"Experiment {experiment.number}: {experiment.status}, child of {experiment.parent}."]
    if experiment.reason:
        parts.append(fence(experiment.reason, "reason", 1200))
    if experiment.fitness is not None:
        parts.append(f"Fitness {experiment.fitness:.4f}.")
    proposal, analysis = experiment.proposal, experiment.analysis
    if proposal is not None:
        parts += [f"Name: {one_line(proposal.name, 80)}", fence(proposal.motivation, "motivation")]
        parts.append(f"Expected gain: {proposal.expected_gain:.4f} nats per token.")
    if experiment.outcome is not None:
        parts.append(show_outcome(experiment.outcome))
    if analysis is not None:
        text = "\n".join((analysis.summary, *analysis.lessons))
        parts.append(fence(text, "analysis"))
    if proposal is not None:
        parts.append(code_block(proposal.code))
    return "\n".join(parts)
