"""One function, three ways to run it: whole, in pieces, token by token (G10)."""

from __future__ import annotations

from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.bench import Bench
from move37.evaluation.gates.layer import (
    Case,
    Finding,
    Layer,
    Setting,
    noise,
    relative,
    steadied,
    worst,
)


def parallel_equals_recurrent(bench: Bench) -> Finding:
    """G10: a prefill, then single steps through the returned state, equal one full forward."""
    layer = bench.layer
    redrawn = Setting(draw=limits.REDRAWS[0])
    return worst([*_steps(layer, Setting()), *steadied(lambda s: _steps(layer, s), redrawn)])


def _steps(layer: Layer, setting: Setting) -> list[Case]:
    # One length for all prefills, so that one full forward serves them all.
    length = max(limits.PREFILLS) + limits.STEPS + 3
    x = noise(8, 2, length)
    whole = layer(x, setting)
    cases = []
    for prefill in limits.PREFILLS:
        end = prefill + limits.STEPS
        stepwise = layer(x[:, :end], setting, cuts=range(prefill, end))
        figure = relative(stepwise, whole[:, :end])
        where = f"prefill of {prefill}, then {limits.STEPS} single steps, {setting.told()}"
        cases.append(Case(figure, where))
    cuts = [10, 11, length - 30]
    figure = relative(layer(x, setting, cuts=cuts), whole)
    cases.append(Case(figure, f"pieces that end at {cuts}, {setting.told()}"))
    return cases
