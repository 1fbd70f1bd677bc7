"""A mixer is told the index of its layer and may heed it: which layers are of one kind.

Two layers are of one kind when their weights have the same names and shapes and when, with the
same weights, both give the same output on a probe: in train mode whole, in eval mode in pieces
that hand the state on, as initialised and re-drawn. In doubt a layer is a kind of its own, so that
doubt costs time and hides nothing.
"""

from __future__ import annotations

import numpy as np

from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.bench import Bench
from move37.evaluation.gates.claims import Unsound
from move37.evaluation.gates.layer import Array, Setting, noise, relative
from move37.evaluation.isolation.nursery import BoxFailure

LOUD = limits.SUFFIX_SCALES[-1]
# A prefill, a piece that goes on from its state, and a single step.
PIECES = (100, 130)
SETTINGS = tuple(
    Setting(draw=draw, train=train) for draw in (0, limits.REDRAWS[0]) for train in (False, True)
)


def kinds(bench: Bench, layers: int = limits.LAYERS) -> tuple[int, ...]:
    """Return for each of the first `layers` the first layer of its kind: (0, 0, ...) for one kind.

    Raises:
        BoxFailure: time or memory ran out.
    """
    x = _probe()
    outputs: dict[int, list[Array]] = {}
    found: list[int] = []
    for index in range(layers):
        alike = (k for k, known in outputs.items() if _alike(_worn(bench, index, k, x), known))
        kind = next(alike, index)
        if kind == index:
            outputs[index] = _worn(bench, index, index, x)
        found.append(kind)
    return tuple(found)


def _probe() -> Array:
    """Draw an input whose end is loud, so that what is saturated there can differ as well."""
    x = noise(33, 2, limits.LENGTHS[0])
    x[:, limits.CUTS[-1] :] *= LOUD
    return x


def _worn(bench: Bench, index: int, kind: int, x: Array) -> list[Array]:
    """Return what a layer gives with the weights of another; nothing if they do not fit."""
    try:
        return bench.layer.wearing((index, kind), x, SETTINGS, PIECES)
    except Unsound:
        pass
    except BoxFailure as failure:
        if failure.stage in ("timeout", "memory"):
            raise
    bench.close()
    return []


def _alike(ours: list[Array], theirs: list[Array]) -> bool:
    if not ours or not theirs:
        return False
    return all(_same(a, b) for a, b in zip(ours, theirs, strict=True))


def _same(a: Array, b: Array) -> bool:
    """Whether two outputs are equal but for rounding, NaN and infinity at the same places."""
    finite = np.isfinite(b)
    if not np.array_equal(np.isfinite(a), finite):
        return False
    return relative(np.where(finite, a, 0.0), np.where(finite, b, 0.0)) <= limits.REPEAT
