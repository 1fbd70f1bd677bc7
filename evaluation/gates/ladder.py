"""Validity checks before any training: what a layer does, asked from outside.

The layer lives in a box; this side chooses the inputs, receives the outputs, and compares. All
runs are in float64 on a fresh copy of the layer with the random state reset, so that a correct
layer differs from itself by rounding only. Identifiers are those of the evaluation's
specification: G1 suffix perturbation, G3 prefix consistency, G7 batch independence, G8 repeat
call, G10 parallel = recurrent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from move37.evaluation.isolation.nursery import Box
from move37.records import GateReport, GateResult

HIDDEN, HEADS = 32, 2
LENGTHS = (131, 515)
CUTS = (1, 31, 32, 33, 63, 64, 65, 100)
PREFILLS = (1, 63, 64, 65)
STEPS = 8
# Rounding in float64 stays near 1e-14 at these sizes; a leak that matters is far above 1e-9.
TOLERANCE = 1e-9
# Weights as initialised, then re-drawn: a path that starts at zero hides what it would leak.
DRAWS = (0, 1)

Array = np.ndarray


@dataclass(frozen=True)
class Difference:
    """The largest relative deviation that was found, and where."""

    figure: float
    where: str


@dataclass(frozen=True)
class Layer:
    """A candidate's layer in its box, as a function from arrays to arrays."""

    box: Box

    def build(self, source: str) -> None:
        """Load the source; raises BoxFailure when it cannot be constructed."""
        self.box.send({"op": "build", "source": source, "hidden": HIDDEN, "heads": HEADS})
        self.box.receive_json()

    def sequence(
        self, inputs: Sequence[Array], cuts: Sequence[Sequence[int]], draw: int, train: bool
    ) -> tuple[list[Array], bool]:
        """Run inputs [B, T, D] in order through one fresh copy; cuts hand the state on.

        Returns the outputs, and whether a parameter or buffer changed meanwhile.
        """
        message = {"op": "forward", "cuts": [list(c) for c in cuts], "draw": draw, "train": train}
        self.box.send(message, inputs)
        changed = bool(self.box.receive_json().get("changed"))
        return [self.box.receive_array(x.shape, "<f8") for x in inputs], changed

    def __call__(
        self, x: Array, cuts: Sequence[int] = (), draw: int = 0, train: bool = False
    ) -> Array:
        """Run one input [B, T, D] through a fresh copy."""
        return self.sequence([x], [cuts], draw, train)[0][0]

    def count(self, length: int) -> tuple[float, int]:
        """Return floating-point operations a token and bytes of state a sequence."""
        self.box.send({"op": "count"}, [_noise(0, 1, length)])
        told = self.box.receive_json()
        return float(told["flops"]), int(told["state"])


def _noise(seed: int, rows: int, length: int, scale: float = 1.0) -> Array:
    return np.random.default_rng(seed).standard_normal((rows, length, HIDDEN)) * scale


def relative(a: Array, b: Array) -> float:
    """Largest absolute difference over the largest magnitude of `b`; 0 for two zero arrays."""
    largest = float(np.abs(b).max())
    difference = float(np.abs(a - b).max())
    return difference / largest if largest > 0 else difference


def _worst(found: Iterator[Difference]) -> Difference:
    return max(found, key=lambda difference: difference.figure)


def _cuts(length: int) -> list[int]:
    return [c for c in (*CUTS, length - 1) if c < length]


def suffix_perturbation(layer: Layer) -> Difference:
    """G1: what stands after position c must not change the output before it."""

    def differences() -> Iterator[Difference]:
        for length in LENGTHS:
            cuts = _cuts(length)
            x = np.repeat(_noise(1, 1, length), len(cuts), axis=0)
            for draw, train, scale in _modes():
                changed = x.copy()
                for row, cut in enumerate(cuts):
                    changed[row, cut:] = _noise(2 + row, 1, length, scale)[0, cut:]
                before, after = (layer(v, draw=draw, train=train) for v in (x, changed))
                for row, cut in enumerate(cuts):
                    figure = relative(after[row, :cut], before[row, :cut])
                    mode = "train" if train else "eval"
                    yield Difference(figure, f"length {length}, cut {cut}, {mode} mode")

    return _worst(differences())


def _modes() -> list[tuple[int, bool, float]]:
    """Weights as drawn or re-drawn, eval or train mode, scale of the other suffix."""
    return [(0, False, 1.0), (0, True, 30.0), (1, False, 30.0)]


def prefix_consistency(layer: Layer) -> Difference:
    """G3: the output on a prefix alone equals the output on the whole, up to there."""

    def differences() -> Iterator[Difference]:
        for draw, length in zip(DRAWS, LENGTHS, strict=True):
            x = _noise(3, 1, length)
            whole = layer(x, draw=draw)
            for cut in _cuts(length):
                figure = relative(layer(x[:, :cut], draw=draw), whole[:, :cut])
                yield Difference(figure, f"first {cut} of {length} positions alone")

    return _worst(differences())


def batch_independence(layer: Layer) -> Difference:
    """G7: a row's output does not depend on the other rows, their number or their order."""

    def differences() -> Iterator[Difference]:
        x = _noise(4, 5, LENGTHS[0])
        whole = layer(x, draw=1)
        order = [3, 0, 4, 1, 2]
        others = x.copy()
        others[1:] = _noise(5, 4, LENGTHS[0], 30.0)
        yield Difference(relative(layer(x[:1], draw=1), whole[:1]), "a row alone")
        yield Difference(relative(layer(x[:2], draw=1), whole[:2]), "two rows of five")
        yield Difference(relative(layer(x[order], draw=1), whole[order]), "rows in another order")
        yield Difference(relative(layer(others, draw=1)[:1], whole[:1]), "other rows changed")

    return _worst(differences())


def repeat_call(layer: Layer) -> Difference:
    """G8: a call leaves nothing behind: same input, same output, no buffer changed."""
    x, other = _noise(6, 2, LENGTHS[0]), _noise(7, 3, LENGTHS[0] - 30)
    (first, _, second), changed = layer.sequence([x, other, x], [(), (), ()], draw=0, train=False)
    if changed:
        return Difference(float("1"), "a parameter or buffer changed during an eval forward")
    return Difference(relative(second, first), "same input after another call")


def parallel_equals_recurrent(layer: Layer) -> Difference:
    """G10: prefill, then single steps through the returned state, equal one full forward."""

    def differences() -> Iterator[Difference]:
        for draw, length in zip(DRAWS, (STEPS, STEPS + 3), strict=True):
            for prefill in PREFILLS:
                x = _noise(8, 2, prefill + length)
                stepwise = layer(x, cuts=range(prefill, prefill + length), draw=draw)
                figure = relative(stepwise, layer(x, draw=draw))
                yield Difference(figure, f"prefill of {prefill}, then {length} single steps")

    return _worst(differences())


GATES: tuple[tuple[str, str, Callable[[Layer], Difference], str], ...] = (
    ("G8", "repeat call", repeat_call, "keep no state between calls but the one you return"),
    ("G7", "batch independence", batch_independence, "let no operation run over the batch"),
    ("G1", "suffix perturbation", suffix_perturbation, "position t may use positions <= t only"),
    ("G3", "prefix consistency", prefix_consistency, "use nothing that depends on total length"),
    (
        "G10",
        "parallel = recurrent",
        parallel_equals_recurrent,
        "return all that the next token needs",
    ),
)


def run_gates(layer: Layer, *, every: bool = False) -> GateReport:
    """Run the gates in order, cheap ones first; stop at the first failure unless `every`."""
    start = time.monotonic()
    results: list[GateResult] = []
    for identifier, name, gate, advice in GATES:
        found = gate(layer)
        passed = found.figure <= TOLERANCE
        detail = "" if passed else found.where
        results.append(
            GateResult(
                id=identifier,
                name=name,
                passed=passed,
                figure=found.figure,
                threshold=TOLERANCE,
                detail=detail,
                advice="" if passed else advice,
            )
        )
        if not passed and not every:
            break
    return GateReport(gates=tuple(results), seconds=time.monotonic() - start)
