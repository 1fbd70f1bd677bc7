"""What each template costs and whether it decodes, measured in boxes as the gates measure it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import fmean

from move37.arch_templates.catalog import BOUNDS, template_source
from move37.evaluation.gates import cost, recurrence
from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.bench import Bench, Expense
from move37.evaluation.gates.claims import Unsound
from move37.evaluation.gates.kinds import kinds
from move37.evaluation.isolation.nursery import BoxFailure, Nursery
from move37.records import Value

# A box takes up to half a gigabyte; more of them side by side would only wait for memory.
MOST_AT_ONCE = 8


class Sheet(Value):
    """The figures of one template, at the width at which the gates hold the budget.

    Exponents are by which power of the length the cost of a pass and the state grow: 1 and 0 for
    a recurrence. `operations` are those of a forward pass for each token, `state_bytes` those of
    one sequence after the longest input, `decoding_gap` is the largest relative deviation
    of single steps from one pass over all. Where layers differ, sizes are their mean, and
    exponents and gap those of the worst.
    """

    name: str
    quadratic: bool
    parameters: int
    operations: float
    state_bytes: int
    cost_exponent: float
    state_exponent: float
    decoding_gap: float

    @property
    def decodes(self) -> bool:
        """Whether it gives token by token, from its state, what it gives in parallel."""
        return self.decoding_gap <= limits.TOLERANCE


def measure_all(names: Sequence[str], nursery: Nursery) -> list[Sheet]:
    """Measure templates side by side, in the order of their names given.

    Raises:
        RuntimeError: one of them does not run, which is a fault of ours.
    """
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_AT_ONCE)) as pool:
        return list(pool.map(partial(measure, nursery=nursery), names))


def measure(name: str, nursery: Nursery) -> Sheet:
    """Measure one template in boxes of its own; raises as `measure_all` does."""
    first = Bench(template_source(name), nursery, limits.GATE_SECONDS, used=lambda _: None)
    benches = {0: first}
    try:
        of_layer = kinds(first)
        benches |= {kind: first.of_layer(kind) for kind in set(of_layer) - {0}}
        layers = [benches[kind].expense() for kind in of_layer]
        return Sheet(
            name=name,
            quadratic=name in BOUNDS,
            parameters=round(fmean(e.built.parameters for e in layers)),
            operations=fmean(e.counts.forward for e in layers) / limits.BUDGET_LENGTH,
            state_bytes=round(fmean(e.state[-1] for e in layers)),
            cost_exponent=max(cost.complexity(b).figure for b in benches.values()),
            state_exponent=max(_growth(e) for e in layers),
            decoding_gap=max(
                recurrence.parallel_equals_recurrent(b).figure for b in benches.values()
            ),
        )
    except (BoxFailure, Unsound) as failure:
        raise RuntimeError(f"the template {name} could not be measured") from failure
    finally:
        for bench in benches.values():
            bench.close()


def _growth(expense: Expense) -> float:
    """Return by which power of the length the state grows at the last doubling."""
    *_, before, last = expense.state
    growth = math.log(last / before) if before and last else 0.0
    return growth / math.log(limits.STATE_LENGTHS[-1] / limits.STATE_LENGTHS[-2])
