"""A layer is a function of its row alone: other rows, other calls, padding, storage (G7-9, G18)."""

from __future__ import annotations

import numpy as np

from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.bench import Bench
from move37.evaluation.gates.causality import advanced
from move37.evaluation.gates.claims import Unsound
from move37.evaluation.gates.layer import (
    Array,
    Case,
    Finding,
    Layer,
    Setting,
    noise,
    relative,
    steadied,
    worst,
)

SHORT = limits.LENGTHS[0]
EVAL = Setting()
# The magnitude of the other rows where they are replaced.
LOUD = 30.0


def batch_independence(bench: Bench) -> Finding:
    """G7: a row's output does not depend on the other rows, their number or their order."""
    layer = bench.layer
    redrawn = Setting(draw=limits.REDRAWS[0])
    cases = [*_rows(layer, EVAL), *steadied(lambda s: _rows(layer, s), redrawn)]
    return worst([*cases, _others(layer, Setting(train=True))])


def _rows(layer: Layer, setting: Setting) -> list[Case]:
    x = noise(4, 5, SHORT)
    whole = layer(x, setting)
    mode = setting.told()
    order = list(limits.ORDER)
    return [
        Case(relative(layer(x[:1], setting), whole[:1]), f"a row alone instead of five, {mode}"),
        Case(relative(layer(x[:2], setting), whole[:2]), f"two rows instead of five, {mode}"),
        Case(relative(layer(x[order], setting), whole[order]), f"rows in another order, {mode}"),
        _others(layer, setting),
    ]


def _others(layer: Layer, setting: Setting) -> Case:
    x = noise(4, 5, SHORT)
    changed = x.copy()
    changed[1:] = noise(5, 4, SHORT) * LOUD
    figure = relative(layer(changed, setting)[:1], layer(x, setting)[:1])
    return Case(figure, f"row 0 when the other four rows change, {setting.told()}")


def repeat_call(bench: Bench) -> Finding:
    """G8: a call leaves nothing behind: same input, same output, nothing overwritten."""
    return worst(_repeated(bench.layer, Setting(draw=draw)) for draw in (0, limits.REDRAWS[0]))


def _repeated(layer: Layer, setting: Setting) -> Case:
    x, other = noise(6, 2, SHORT), noise(7, 3, SHORT - 30)
    (first, _, second), told = layer.sequence([x, other, x], setting)
    if told.get("changed") is not False:
        return Case(1.0, f"a parameter or buffer changed during a forward in {setting.told()}")
    if told.get("written") is not False:
        return Case(1.0, f"forward wrote into its input x, {setting.told()}")
    if not np.isfinite(first).all():
        raise Unsound(f"the output holds NaN or infinity at length {SHORT}, {setting.told()}")
    return Case(_difference(second, first), f"same input after another call, {setting.told()}")


def padding(bench: Bench) -> Finding:
    """G9: a left-padded row gives on its real positions what it gives alone."""
    if not bench.layer.built.takes_mask:
        return Finding(0.0, remark="takes no attention_mask, so no padding is ever given to it")
    lengths = limits.ROW_LENGTHS
    longest = max(lengths)
    x = noise(9, len(lengths), longest)
    mask = np.array([[at >= longest - n for at in range(longest)] for n in lengths], np.int64)
    cases = []
    for setting in (EVAL, Setting(draw=limits.REDRAWS[0])):
        (padded,), _ = bench.layer.sequence([x], setting, masks=[mask])
        for row, n in enumerate(lengths):
            alone = bench.layer(x[row : row + 1, longest - n :], setting)
            figure = _difference(padded[row : row + 1, longest - n :], alone)
            where = f"row of {n} tokens behind {longest - n} of padding, {setting.told()}"
            cases.append(Case(figure, where))
    return worst(cases)


def _difference(a: Array, b: Array) -> float:
    """Return the relative deviation, 1 where the padded run is not even finite."""
    return relative(a, b) if np.isfinite(a).all() else 1.0


def round_trip(bench: Bench) -> Finding:
    """G18: trained weights, loaded into a fresh layer elsewhere, compute the same function.

    Step counters are then set to what long training would bring, and both this and causality are
    asked again.
    """
    steps, rows, length = limits.DRILL_STEPS, limits.DRILL_ROWS, limits.DRILL_LENGTH
    x = noise(30, steps * rows, length).reshape(steps, rows, length, -1)
    target = noise(31, steps * rows, length).reshape(x.shape)
    probe = noise(32, rows, length)
    counters, weights, trained = bench.layer.drill(x, target, probe)
    if not np.isfinite(trained).all():
        raise Unsound(f"the output holds NaN or infinity after {steps} training steps")
    figure = _difference(_elsewhere(bench, weights, probe), trained)
    if figure > limits.TOLERANCE:
        return Finding(figure, f"after {steps} training steps, saved, loaded, eval mode")
    moved = f"step counters: {', '.join(counters)}"[: limits.DETAIL_LIMIT // 2]
    for count in limits.COUNTS if counters else ():
        weights, before = bench.layer.snapshot(Setting(trained=True, counters=count), probe)
        figure = _difference(_elsewhere(bench, weights, probe), before)
        if figure > limits.TOLERANCE:
            return Finding(figure, f"with counters at {count:,}, saved, loaded, eval mode; {moved}")
        for train in (False, True):
            setting = Setting(trained=True, counters=count, train=train)
            case = worst(advanced(bench.layer, setting))
            if case.figure > 1.0:
                return Finding(case.figure * limits.TOLERANCE, f"{case.where}; {moved}")
    return Finding(figure, remark=moved if counters else "no step counters")


def _elsewhere(bench: Bench, weights: bytes, probe: Array) -> Array:
    """Load weights in another box, and return y for `probe`."""
    with bench.open_box() as box:
        # Another seed: what is drawn at construction must travel with the weights.
        restored = Layer(box, bench.described, limits.HIDDEN, "float64", seed=1)
        return restored.restore(weights, probe)
