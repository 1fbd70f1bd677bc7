"""Validity checks before any training, in order of cost: what a layer does, asked from outside.

The layer lives in boxes; this side chooses the inputs, receives the outputs, and compares. G1 to
G18 are the identifiers of the evaluation's specification, section 3. Layer 0 climbs first, then one
layer of each further kind, then a small model of several layers. G6, the floor of tasks whose best
possible loss is known, is asked of the trained model; the static policy, a part of G17, before
there is any box.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice

import numpy as np

from move37.evaluation.gates import causality, cost, health, learning, purity, recurrence
from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.bench import Bench, Expense
from move37.evaluation.gates.claims import Unsound
from move37.evaluation.gates.kinds import kinds
from move37.evaluation.gates.layer import Finding
from move37.evaluation.gates.thresholds import GATE_SECONDS, LAYERS
from move37.evaluation.isolation.nursery import Box, BoxFailure, Nursery
from move37.records import GateReport, GateResult


@dataclass(frozen=True)
class Gate:
    """One rung: what is measured, the largest figure that passes, and what to mend otherwise.

    It asks one layer and is asked of each kind, or a `whole` model that holds several of them.
    """

    id: str
    name: str
    run: Callable[[Bench], Finding]
    limit: float
    advice: str
    whole: bool = False


@dataclass(frozen=True)
class Checked:
    """The verdict of the ladder, what each layer costs, and what it printed when it raised.

    `expenses` are those of the first layers, none when the ladder ended before they were counted.
    `log` is untrusted text.
    """

    report: GateReport
    expenses: tuple[Expense, ...] = ()
    log: str = ""

    def flops_per_token(self, layers: int) -> float:
        """Return the operations of a forward pass, the mean of the layers of a model."""
        return self._mean([e.counts.forward / limits.BUDGET_LENGTH for e in self.expenses], layers)

    def state_bytes(self, layers: int) -> int:
        """Return the state of one sequence, the mean of the layers of a model."""
        return int(self._mean([max(e.state) for e in self.expenses], layers))

    def _mean(self, figures: list[float], layers: int) -> float:
        return sum(islice(cycle(figures), layers)) / layers


class LadderFailure(BoxFailure):
    """Time or memory ran out in a gate; `report` holds the gates before it."""

    def __init__(self, failure: BoxFailure, report: GateReport) -> None:
        super().__init__(failure.stage, failure.reason, failure.log)
        self.report = report


def construction(bench: Bench) -> Finding:
    """G17: inside the walls of a box the file gives a layer; the static policy came before."""
    built = bench.layer.built
    return Finding(0.0, remark=f"{built.parameters:,} parameters at a width of {limits.HIDDEN}")


LADDER: tuple[Gate, ...] = (
    Gate(
        "G17",
        "construction",
        construction,
        0.0,
        "keep to the contract: one class TokenMixer(nn.Module) and the imports that are allowed",
    ),
    Gate(
        "G8",
        "repeat call",
        purity.repeat_call,
        limits.REPEAT,
        "keep nothing between calls but the state that you return, and draw no random numbers "
        "in eval mode",
    ),
    Gate(
        "G7",
        "batch independence",
        purity.batch_independence,
        limits.TOLERANCE,
        "let no operation run over the batch dimension",
    ),
    Gate(
        "G9",
        "padding",
        purity.padding,
        limits.TOLERANCE,
        "let padded positions write nothing into the state, or take no attention_mask",
    ),
    Gate(
        "G1",
        "suffix perturbation",
        causality.suffix_perturbation,
        limits.TOLERANCE,
        "let the output at position t use positions up to t only",
    ),
    Gate(
        "G3",
        "prefix consistency",
        causality.prefix_consistency,
        limits.TOLERANCE,
        "let nothing depend on the total length x.shape[1] or on statistics over all of it",
    ),
    Gate(
        "G2",
        "Jacobian",
        causality.jacobian,
        limits.JACOBIAN,
        "let no gradient of position t flow to a later position, however small",
    ),
    Gate(
        "G4",
        "re-drawn weights",
        causality.redrawn_weights,
        limits.TOLERANCE,
        "look for a leak behind a weight that starts at zero or at saturation",
    ),
    Gate(
        "G10",
        "parallel = recurrent",
        recurrence.parallel_equals_recurrent,
        limits.TOLERANCE,
        "return in the state all that the next token needs, and go on from it",
    ),
    Gate(
        "G11",
        "gradients",
        health.gradients,
        limits.DEAD_SHARE,
        "use every parameter on a path that gradients can take, or remove it",
    ),
    Gate(
        "G15",
        "budget",
        cost.budget,
        limits.PARAMETERS,
        "make the layer smaller",
    ),
    Gate(
        "G14",
        "state size",
        cost.state_size,
        limits.STATE_GROWTH,
        "keep the state bounded: it may not grow with the number of tokens",
    ),
    Gate(
        "G18",
        "round trip",
        purity.round_trip,
        limits.TOLERANCE,
        "register as a parameter or buffer all that the output depends on, and let no leak "
        "depend on a step counter",
    ),
    Gate(
        "G13",
        "complexity",
        cost.complexity,
        limits.LOG_LINEAR,
        "replace what compares all positions with all others by a scan, a chunk or a window",
    ),
    Gate(
        "G12",
        "numeric stress",
        health.numeric_stress,
        0.0,
        "guard divisions, logarithms, exponentials and norms against zeros and large inputs",
    ),
    Gate(
        "G16",
        "overfit one batch",
        learning.overfit,
        limits.OVERFIT_SHARE,
        "let the output depend on earlier tokens, and let gradients reach what decides it",
        whole=True,
    ),
)
WHITE_NOISE = Gate(
    "G5",
    "white noise",
    learning.white_noise,
    limits.NOISE_SIGMA,
    "find the path by which a token reaches the prediction of itself",
    whole=True,
)


def _badness(result: GateResult) -> tuple[bool, float]:
    return not result.passed, np.inf if result.figure is None else result.figure


@dataclass
class _Climb:
    """Results so far."""

    start: float = field(default_factory=time.monotonic)
    results: list[GateResult] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)

    def note(self, result: GateResult) -> None:
        """Add a result, or put it in the place of one of the same gate that it is worse than."""
        for place, known in enumerate(self.results):
            if known.id == result.id:
                self.results[place] = max(known, result, key=_badness)
                return
        self.results.append(result)

    def report(self) -> GateReport:
        return GateReport(gates=tuple(self.results), seconds=time.monotonic() - self.start)


def run_ladder(  # noqa: PLR0913 - options by keyword
    source: str,
    nursery: Nursery,
    *,
    every: bool = False,
    white_noise: bool = False,
    layers: int = LAYERS,
    seconds: float = GATE_SECONDS,
    used: Callable[[Box], None],
) -> Checked:
    """Run the gates in order: on layer 0, on each further kind of layer, on a whole model.

    `layers` is how many are looked at. Stops at the first failure unless `every`. A gate has one
    result, that of the worst layer.

    Raises:
        LadderFailure: time or memory ran out; what was found before comes with it.
    """
    bench = Bench(source, nursery, seconds, used)
    climb = _Climb()
    gates = (*LADDER, WHITE_NOISE) if white_noise else LADDER
    single = [gate for gate in gates if not gate.whole]
    whole = [gate for gate in gates if gate.whole]
    benches = {0: bench}
    try:
        of_layer: tuple[int, ...] = ()
        if _climb(single, bench, climb, every=every):
            of_layer = kinds(bench, layers)
            benches |= {kind: bench.of_layer(kind) for kind in sorted(set(of_layer) - {0})}
            further = [(single, benches[kind]) for kind in benches if kind]
            for some, layer in [*further, (whole, bench)]:
                if not _climb(some, layer, climb, every=every):
                    break
        return _checked(climb, [benches[kind] for kind in of_layer])
    except BoxFailure as failure:
        raise LadderFailure(failure, climb.report()) from failure
    finally:
        for opened in benches.values():
            opened.close()


def run_white_noise(source: str, nursery: Nursery, used: Callable[[Box], None]) -> GateResult:
    """Run G5 alone, for a candidate that claims to be better than the baseline.

    Raises:
        LadderFailure: time or memory ran out.
    """
    bench, climb = Bench(source, nursery, GATE_SECONDS, used), _Climb()
    try:
        _try(WHITE_NOISE, bench, climb)
    except BoxFailure as failure:
        raise LadderFailure(failure, climb.report()) from failure
    finally:
        bench.close()
    return climb.results[0]


def _climb(gates: Sequence[Gate], bench: Bench, climb: _Climb, *, every: bool) -> bool:
    """Run gates on one layer until one fails, or `every` one; return whether to climb on."""
    return all(_try(gate, bench, climb) or every for gate in gates)


def _checked(climb: _Climb, layers: list[Bench]) -> Checked:
    report, log = climb.report(), "\n".join(climb.logs)
    if not report.passed:
        return Checked(report, log=log)
    return Checked(report, tuple(bench.expense() for bench in layers), log)


def _try(gate: Gate, bench: Bench, climb: _Climb) -> bool:
    """Run one gate and note its result; what the candidate raised is a failed gate."""
    try:
        result = _judged(gate, gate.run(bench))
    except Unsound as error:
        result = _unfigured(gate, str(error))
        bench.close()
    except BoxFailure as failure:
        if failure.stage in ("timeout", "memory"):
            raise
        climb.logs.append(failure.log)
        result = _unfigured(gate, failure.reason)
        bench.close()
    index = bench.described.index
    if index and result.detail:
        result = result.model_copy(update={"detail": _line(f"layer {index}: {result.detail}")})
    climb.note(result)
    return result.passed


def _judged(gate: Gate, finding: Finding) -> GateResult:
    limit = gate.limit if finding.limit is None else finding.limit
    passed = finding.figure <= limit
    return GateResult(
        id=gate.id,
        name=gate.name,
        passed=passed,
        figure=finding.figure if np.isfinite(finding.figure) else None,
        threshold=limit,
        detail=_line(finding.remark if passed else finding.where),
        advice="" if passed else finding.advice or gate.advice,
    )


def _unfigured(gate: Gate, reason: str) -> GateResult:
    """Return a failure without a figure; the end of a reason names the exception."""
    return GateResult(
        id=gate.id,
        name=gate.name,
        passed=False,
        figure=None,
        threshold=gate.limit,
        detail=_line(reason),
        advice=f"the layer must not fail on the inputs of this gate; {gate.advice}",
    )


def _line(text: str) -> str:
    """Bring text from a box onto one line of bounded length without control characters."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split())[: limits.DETAIL_LIMIT]
