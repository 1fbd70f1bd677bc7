"""What a layer costs: growth with length (G13), state (G14), the baseline's budget (G15).

Counts come from the box and are claims; the time of its processor, as the operating system
accounts it, is a second opinion from outside.
"""

from __future__ import annotations

import math

from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.bench import ROOT, Bench
from move37.evaluation.gates.layer import Counts, Finding, Layer
from move37.evaluation.isolation.nursery import Box

QUANTITIES = {"work": "operations", "saved": "bytes saved for the backward pass", "ops": "ops"}


class _Pace:
    """Counts and CPU seconds by length."""

    def __init__(self, layer: Layer, box: Box) -> None:
        self._layer = layer
        self._box = box
        self.counted: dict[int, Counts] = {}
        self._seconds: dict[int, float] = {}

    def count(self, length: int) -> None:
        """Count one length, and read the processor's clock from outside."""
        before = self._box.cpu_seconds()
        self.counted[length] = self._layer.cost(length)
        self._seconds[length] = self._box.cpu_seconds() - before

    def burnt(self) -> Finding | None:
        """Return a failure when the processor shows quadratic time that no counter saw."""
        long = max(self._seconds)
        short = long // 4
        for again in range(limits.BURNT_TRIES + 1):
            if again:
                self.count(short)
                self.count(long)
            if self._ratio(short, long) <= limits.BURNT_RATIO:
                return None
        exponent = math.log(self._ratio(short, long)) / math.log(long / short)
        seconds = f"{self._seconds[long]:.2f} s of CPU for {long} tokens"
        where = f"{seconds}, {self._seconds[short]:.2f} s for {short}, which no counted op explains"
        advice = "let no step take longer the longer the sequence is, in Python or elsewhere"
        return Finding(exponent, where, advice=advice)

    def _ratio(self, short: int, long: int) -> float:
        if self._seconds[long] < limits.BURNT_SECONDS:
            return 0.0
        return self._seconds[long] / (self._seconds[short] + limits.CLOCK_TICK)


def complexity(bench: Bench) -> Finding:
    """G13: at the largest doubling of the length, cost grows by no more than L log L.

    The figure is 1 + log2 of the ratio of two marginal costs, those of a token among the last
    L and among the L/2 before: the exponent of a power law, unmoved by constant costs, and 1 for
    a window however long that is already full.
    """
    with bench.plain(limits.HIDDEN) as (layer, box):
        pace = _Pace(layer, box)
        for length in limits.COST_LENGTHS:
            pace.count(length)
            if len(pace.counted) > 2 and pace.counted[length].ops > limits.MANY_OPS:
                break
        found = _counted(pace.counted)
        # A second opinion costs time, so only on what looks linear.
        burnt = pace.burnt() if found.figure <= limits.LOG_LINEAR else None
    return burnt or found


def _counted(counted: dict[int, Counts]) -> Finding:
    longest = max(counted)
    figures = {name: _exponent(counted, name) for name in QUANTITIES}
    name = max(figures, key=lambda key: figures[key])
    where = f"{QUANTITIES[name]} grow like L^{figures[name]:.2f} from {longest // 2} to {longest}"
    kind = "linear" if figures[name] <= limits.LINEAR else "L log L"
    return Finding(figures[name], f"{where} tokens", remark=f"{kind} up to {longest} tokens")


def _exponent(counted: dict[int, Counts], name: str) -> float:
    quantities = [(length, float(getattr(counted[length], name))) for length in sorted(counted)]
    (first, least), (middle, some), (last, most) = quantities[-3:]
    earlier, later = (some - least) / (middle - first), (most - some) / (last - middle)
    if later <= 0:
        return 0.0
    if earlier <= 0:
        # Nothing grew before, so there is no marginal cost to compare with.
        return math.log2(most / some) if some > 0 else 2.0
    return 1 + math.log2(later / earlier)


def state_size(bench: Bench) -> Finding:
    """G14: the state stays bounded, and no larger than the baseline's unless it is declared."""
    expense, root = bench.expense(), bench.root_expense()
    *_, before, last = expense.state
    growth = last / before if before else float(last > 0) * 2
    if growth > limits.STATE_GROWTH:
        lengths = limits.STATE_LENGTHS[-2:]
        sizes = f"{before:,.0f} bytes after {lengths[0]} tokens, {last:,.0f} after {lengths[1]}"
        return Finding(growth, sizes)
    if expense.stepped > limits.STATE_GROWTH * expense.state[0]:
        sizes = f"{expense.stepped:,.0f} bytes after {limits.STATE_LENGTHS[0]} single tokens"
        where = f"{sizes}, {expense.state[0]:,.0f} after the same in one call"
        return Finding(min(expense.stepped / max(expense.state[0], 1.0), 1e9), where)
    largest, usual = max(expense.state), max(root.state)
    if largest <= usual:
        return Finding(growth, remark=f"{largest:,.0f} bytes, {ROOT} {usual:,.0f}")
    told = f"{largest:,.0f} bytes of state, {ROOT} has {usual:,.0f}"
    if expense.built.large_state:
        return Finding(growth, remark=f"{told}; declared")
    advice = "shrink the state, or declare it: class attribute large_state = True"
    return Finding(largest / usual, told, limit=1.0, advice=advice)


def budget(bench: Bench) -> Finding:
    """G15: parameters, work and saved bytes against the baseline's at the same size.

    Outside of equal size, but below the limits, it passes with a remark: it is then compared on
    the frontier of loss and cost only.
    """
    own, root = bench.expense(), bench.root_expense()
    ratios = {
        "parameters": own.built.parameters / root.built.parameters,
        "operations": own.counts.work / root.counts.work,
        "saved bytes": own.counts.saved / root.counts.saved,
    }
    hard = {
        "parameters": limits.PARAMETERS,
        "operations": limits.WORK,
        "saved bytes": limits.SAVED,
    }
    told = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in ratios.items())
    worst = max(ratios, key=lambda name: ratios[name] / hard[name])
    equal = (
        abs(ratios["parameters"] - 1) <= limits.PARAMETERS_EQUAL
        and abs(ratios["operations"] - 1) <= limits.WORK_EQUAL
        and ratios["saved bytes"] - 1 <= limits.SAVED_EQUAL
    )
    remark = told if equal else f"{told} of the baseline's: compared on the frontier only"
    advice = f"use fewer {worst}: at most {hard[worst]:g} times those of the baseline"
    return Finding(ratios[worst], f"{told} of the baseline's", remark, hard[worst], advice)
