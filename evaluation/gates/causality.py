"""Position t may use positions up to t: suffixes, Jacobians and prefixes (G1 to G4).

Identifiers are those of the evaluation's specification, section 3.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.bench import Bench
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

SHORT, MIDDLE = limits.LENGTHS
EVAL, TRAIN = Setting(), Setting(train=True)


def cuts_of(length: int) -> list[int]:
    """Return the cuts that lie inside a sequence, the last one before its end."""
    return [c for c in (*limits.CUTS, length - 1) if c < length]


def suffixes(layer: Layer, length: int, setting: Setting) -> list[Case]:
    """Replace what stands after each cut, one row a cut; the output before it must stay."""
    # Train and eval mode swap the two scales, so that each cut meets both.
    scales = limits.SUFFIX_SCALES[:: -1 if setting.train else 1]
    return _suffixes(layer, length, cuts_of(length), (setting, scales))


def _suffixes(
    layer: Layer, length: int, cuts: list[int], how: tuple[Setting, tuple[float, ...]]
) -> list[Case]:
    setting, scales = how
    x = np.repeat(noise(1, 1, length), len(cuts), axis=0)
    changed = x.copy()
    for row, cut in enumerate(cuts):
        changed[row, cut:] = noise(2 + row, 1, length)[0, cut:] * scales[row % len(scales)]
    before, after = layer(x, setting), layer(changed, setting)
    cases = []
    for row, cut in enumerate(cuts):
        figure = relative(after[row, :cut], before[row, :cut])
        scale = scales[row % len(scales)]
        where = f"length {length}, cut {cut}, other suffix of scale {scale:g}, {setting.told()}"
        if figure > limits.TOLERANCE:
            where += f"; first at position {_first(after[row, :cut], before[row, :cut])}"
        cases.append(Case(figure, where))
    return cases


def _first(a: Array, b: Array) -> int:
    """Return the first position [T, D] at which two outputs differ by more than rounding."""
    with np.errstate(over="ignore"):
        apart = np.abs(a - b).max(-1) > limits.TOLERANCE * np.abs(b).max()
    return int(np.argmax(apart))


def jacobians(layer: Layer, length: int, setting: Setting) -> list[Case]:
    """Pull a cotangent at one position back to the input: nothing may arrive after it."""
    cuts = cuts_of(length)
    x = noise(20, len(cuts), length)
    cotangent = np.zeros_like(x)
    for row, cut in enumerate(cuts):
        cotangent[row, cut - 1] = noise(21, 1, 1)[0, 0]
    pulled = layer.backward(x, cotangent, setting)
    if not np.isfinite(pulled).all():
        raise Unsound(f"the gradient holds NaN or infinity, length {length}, {setting.told()}")
    cases = []
    for row, cut in enumerate(cuts):
        largest, later = np.abs(pulled[row]).max(), np.abs(pulled[row, cut:]).max()
        where = f"length {length}, gradient of y[{cut - 1}] reaches x[{cut}:], {setting.told()}"
        cases.append(Case(float(later / largest) if largest > 0 else 0.0, where))
    return cases


def prefixes(layer: Layer, length: int, setting: Setting) -> list[Case]:
    """Run each prefix alone: its output is that of the whole sequence up to there."""
    x = noise(3, 1, length)
    whole = layer(x, setting)
    cases = []
    for cut in cuts_of(length):
        figure = relative(layer(x[:, :cut], setting), whole[:, :cut])
        where = f"first {cut} of {length} positions alone, {setting.told()}"
        cases.append(Case(figure, where))
    return cases


def suffix_perturbation(bench: Bench) -> Finding:
    """G1: what stands after position c must not change the output before it."""
    layer = bench.layer
    cases = [c for n in limits.LENGTHS for s in (EVAL, TRAIN) for c in suffixes(layer, n, s)]
    beyond = [SHORT, limits.LONG - SHORT]
    cases += _suffixes(layer, limits.LONG, beyond, (EVAL, limits.SUFFIX_SCALES))
    return worst(cases)


def jacobian(bench: Bench) -> Finding:
    """G2: y[t] has no derivative with respect to what stands after t."""
    pairs = zip(limits.LENGTHS, (EVAL, TRAIN), strict=True)
    return worst(c for length, setting in pairs for c in jacobians(bench.layer, length, setting))


def prefix_consistency(bench: Bench) -> Finding:
    """G3: the output on a prefix alone equals the output on the whole, up to there."""
    return worst(c for length in limits.LENGTHS for c in prefixes(bench.layer, length, EVAL))


def redrawn_weights(bench: Bench) -> Finding:
    """G4: the same at re-drawn weights, where no path stays switched off by its initial value."""
    case = worst(_at_draws(bench.layer))
    # The share of the limit that was used, told as a deviation again.
    return Finding(case.figure * limits.TOLERANCE, case.where)


def advanced(layer: Layer, setting: Setting) -> list[Case]:
    """Run the three causality checks in one setting, figures as shares of their limits."""
    # Dropout draws another mask for another length, so prefixes are compared in eval mode.
    still = replace(setting, train=False)
    return [
        *_shares("G1", suffixes(layer, SHORT, setting), limits.TOLERANCE),
        *_shares("G2", jacobians(layer, SHORT, setting), limits.JACOBIAN),
        *_shares("G3", prefixes(layer, SHORT, still), limits.TOLERANCE),
    ]


def _at_draws(layer: Layer) -> list[Case]:
    cases: list[Case] = []
    first, second = (Setting(draw=draw) for draw in limits.REDRAWS)
    trained = Setting(draw=second.draw, train=True)
    for length, setting in ((SHORT, trained), (MIDDLE, first), (SHORT, second)):
        found = steadied(partial(suffixes, layer, length), setting)
        cases += _shares("G1", found, limits.TOLERANCE)
    for length, setting in ((MIDDLE, first), (SHORT, second)):
        found = steadied(partial(jacobians, layer, length), setting)
        cases += _shares("G2", found, limits.JACOBIAN)
    for length, setting in ((SHORT, first), (MIDDLE, second)):
        found = steadied(partial(prefixes, layer, length), setting)
        cases += _shares("G3", found, limits.TOLERANCE)
    return cases


def _shares(gate: str, cases: list[Case], limit: float) -> list[Case]:
    return [Case(case.figure / limit, f"as in {gate}: {case.where}") for case in cases]
