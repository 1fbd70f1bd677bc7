"""A layer that can be trained: live gradients (G11), and finite numbers under stress (G12)."""

from __future__ import annotations

import numpy as np

from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.bench import Bench
from move37.evaluation.gates.claims import Unsound
from move37.evaluation.gates.layer import Array, Finding, Gradients, Setting, noise

# No more parameters than these are named in one sentence.
NAMED = 4


def gradients(bench: Bench) -> Finding:
    """G11: finite gradients, and nearly every number among the parameters gets one.

    Three batches with a training step between them, so that what stands behind a weight that
    starts at zero is not called dead; a number counts as live when any batch moved it.
    """
    pairs = []
    for seed, (rows, length) in enumerate(limits.GRADIENT_BATCHES):
        pairs += [noise(40 + seed, rows, length), noise(50 + seed, rows, length)]
    found = bench.layer.gradients(pairs, Setting(train=True))
    if not sum(found.sizes):
        raise Unsound("the layer has no parameter that could be trained")
    for (_, length), flat in zip(limits.GRADIENT_BATCHES, found.batches, strict=True):
        if not np.isfinite(flat).all():
            name = _owner(found, int(np.argmin(np.isfinite(flat))))
            raise Unsound(f"the gradient of {name} holds NaN or infinity at length {length}")
    live = np.any([flat != 0 for flat in found.batches], axis=0)
    return Finding(float(1 - live.mean()), f"without gradient: {_dead(found, live)}")


def _owner(found: Gradients, at: int) -> str:
    """Name the parameter that a position in the flat gradient belongs to."""
    ends = np.cumsum(found.sizes)
    return found.names[int(np.searchsorted(ends, at, side="right"))]


def _dead(found: Gradients, live: Array) -> str:
    parts = np.split(live, np.cumsum(found.sizes)[:-1])
    shares = zip(found.names, parts, strict=True)
    dead = [(name, int((~part).sum()), part.size) for name, part in shares if not part.all()]
    told = [f"{name} ({count} of {size})" for name, count, size in dead[:NAMED]]
    return ", ".join(told) + (f" and {len(dead) - NAMED} more" if len(dead) > NAMED else "")


def numeric_stress(bench: Bench) -> Finding:
    """G12: finite forward and backward in float32 on extreme inputs, and at length 1.

    The figure is the share of numbers that are not finite.
    """
    single = np.ones((2, 1, limits.HIDDEN))
    cases = {f"{kind}, length {limits.STRESS_LENGTH}": x for kind, x in _extremes().items()}
    finding = Finding(0.0)
    with bench.plain(limits.HIDDEN) as (layer, _):
        for names, x in ((["length 1"] * 2, single), (list(cases), np.stack([*cases.values()]))):
            cotangent = noise(60, *x.shape[:2])
            dtype, y, dx, flat = layer.stress(x.astype("<f4"), cotangent.astype("<f4"))
            if dtype != "torch.float32":
                raise Unsound(f"the output is {dtype} for an input of torch.float32")
            for part, values in (("output", y), ("gradient of x", dx)):
                for name, row in zip(names, values, strict=True):
                    finding = _less_finite(finding, row, f"{part}, {name}")
            told = " or ".join(dict.fromkeys(names))
            finding = _less_finite(finding, flat, f"gradient of a parameter, {told}")
    return finding


def _less_finite(finding: Finding, values: Array, where: str) -> Finding:
    # The first case is kept: a later one often follows from it.
    share = float(1 - np.isfinite(values).mean()) if values.size else 0.0
    return finding if finding.figure or not share else Finding(share, f"NaN or infinity: {where}")


def _extremes() -> dict[str, Array]:
    """Return inputs [T, D] at which sums, quotients and powers overflow or vanish."""
    length = limits.STRESS_LENGTH
    usual = noise(61, 1, length)[0]
    repeats = -(-length // limits.STRESS_PERIOD)
    return {
        "zeros": np.zeros_like(usual),
        "one constant": np.ones_like(usual),
        "a repeated pattern": np.tile(usual[: limits.STRESS_PERIOD], (repeats, 1))[:length],
        **{f"scale {scale:g}": usual * scale for scale in limits.STRESS_SCALES},
    }
