"""When a campaign has stalled, and which kinds of mechanism are used up by then.

Everything follows from the record: beliefs of true losses (`move37.memory.posterior`), which are
held against one another at two standard deviations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Final

from move37.memory.lessons import Origin, changed_from, was_pruned
from move37.memory.posterior import Belief
from move37.records import Estimate, Experiment, Value

# After so many results without a better one the next is better with a chance of a tenth at most
# (Laplace's rule of succession).
FEWEST_RESULTS = 8
# Experiments of one batch do not see one another: one batch to meet the best, two to answer it.
BATCHES = 3
# A kind in which every second try brought something would fail so often in a row once in 32 times.
FEWEST_TRIES = 5
BEYOND_NOISE = 2.0
SUGGESTED = 6
NUMBERS_ONLY = "no mechanism, numbers only"

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "rule of writing": (
        "delta-rule",
        "gated-delta-rule",
        "linear-attention",
        "decoupled-erase",
        "householder-products",
        "higher-order-update",
        "oja-rule",
        "beta-sigmoid",
        "beta-double",
        "beta-per-head-bias",
        "exponential-gating",
        "normaliser-state",
    ),
    "forgetting": (
        "scalar-decay",
        "learned-decay",
        "fixed-decay",
        "channel-decay",
        "tied-gates",
        "gate-lower-bound",
        "multi-timescale",
        "retention-penalty",
    ),
    "transition of the state": (
        "permutation-transition",
        "rotational-state",
        "diagonal-transition",
        "mimo-update",
        "nonlinear-recurrence",
        "learned-initial-state",
    ),
    "feature map": (
        "feature-map-elu",
        "feature-map-relu",
        "feature-map-silu",
        "feature-map-exp",
        "feature-map-identity",
        "key-norm",
        "polynomial-feature-map",
        "random-feature-map",
        "learned-feature-map",
    ),
    "local filter": ("short-convolution", "long-convolution", "token-shift", "implicit-filter"),
    "parallel paths": (
        "value-residual",
        "path-softmax",
        "path-sigmoid",
        "path-two-stage",
        "router-temperature",
        "router-floor",
        "direct-copy",
    ),
    "gates and norms behind the memory": (
        "output-gate",
        "output-norm",
        "depth-attention",
        "residual-gate",
        "sandwich-norm",
        "bounded-logits",
        "squared-activation",
    ),
    "memory as learning": (
        "least-squares-memory",
        "preconditioned-update",
        "implicit-update",
        "momentum-memory",
        "window-objective",
        "robust-objective",
        "deep-memory",
        "chunk-update",
        "multi-frequency-update",
        "output-correction",
        "local-regression",
        "energy-retrieval",
    ),
    "shape of the memory": (
        "state-expansion",
        "memory-slots",
        "mixture-of-memories",
        "sparse-memory",
        "product-keys",
        "log-linear-states",
        "tensor-state",
        "time-partition",
    ),
    "attention": (
        "full-attention",
        "sliding-window",
        "sparse-attention",
        "block-compression",
        "attention-sink",
        "persistent-tokens",
        "latent-kv",
        "shared-attention",
        "forget-gate-attention",
        "stick-breaking",
        "interleaved-hybrid",
        "parallel-hybrid",
    ),
    "position": ("rotary-position", "distance-bias", "no-position", "data-dependent-position"),
    "form of computing": ("chunkwise-form", "parallel-scan", "tiled-kernel", "reading-twice"),
}
_KIND_OF = {tag: kind for kind, tags in KINDS.items() for tag in tags}
# Ways to compute the same thing, and what costs more than a mixer may.
_NO_WAY_OUT = frozenset({*KINDS["form of computing"], "full-attention"})


class Spent(Value):
    """A kind of mechanism that was changed `tries` times since it last brought something.

    `stopped` of them were stopped early; `best` is what is believed of the gain of the best of the
    others over its parent, in nats, None where there are none.
    """

    kind: str
    tries: int
    stopped: int
    best: Estimate | None


class Plateau(Value):
    """A campaign that has stalled: its best design, unbeaten for so many `results`.

    `believed` is what is believed of that one's loss on text, in nats per token; number 0 is the
    root. `untried` are mechanisms that no design had yet.
    """

    best: int
    believed: Estimate
    results: int
    spent: tuple[Spent, ...]
    untried: tuple[str, ...]


def find_plateau(
    belief: Belief, history: Sequence[Experiment], origin: Origin, batch: int
) -> Plateau | None:
    """Return the plateau on which a campaign stands, or None while it gets on.

    It has stalled when no design is believed better than the best one before it, by two standard
    deviations of their difference, among at least `max(8, 3 batch)` results of later batches.
    Small steps add up: a design is held against the last one that was beyond the noise, not against
    the best by a hair. What was stopped early is a result, what failed otherwise is none.
    """
    believed = {
        one.number: Estimate(mean=float(mean), sd=float(sd))
        for one, mean, sd in zip(belief.candidates, belief.mean, belief.sd, strict=True)
    }
    best = _best(believed)
    # Those of its own batch were designed without knowing it.
    last = (best - 1) // batch * batch + batch if best else 0
    earlier = sorted(history, key=lambda one: one.number)
    results = [one for one in earlier if one.number in believed or was_pruned(one)]
    since = sum(one.number > last for one in results)
    if since < max(FEWEST_RESULTS, BATCHES * batch):
        return None
    tries = _tries(results, earlier, origin)
    spent = sorted(_spent(tries, believed), key=lambda one: -one.tries)
    return Plateau(
        best=best,
        believed=believed[best],
        results=since,
        spent=tuple(spent),
        untried=_untried(earlier, origin, tries),
    )


def _best(believed: Mapping[int, Estimate]) -> int:
    """Return the last design that was better than the best before it by more than noise."""
    best = 0
    for number in sorted(believed):
        if _beyond_noise(_gain(believed[best], believed[number])):
            best = number
    return best


def _gain(parent: Estimate, child: Estimate) -> Estimate:
    return Estimate(mean=parent.mean - child.mean, sd=math.hypot(parent.sd, child.sd))


def _beyond_noise(gain: Estimate) -> bool:
    return gain.mean > BEYOND_NOISE * gain.sd


def _tries(
    results: Iterable[Experiment], history: Iterable[Experiment], origin: Origin
) -> dict[str, list[Experiment]]:
    """Return for each kind the results that changed something of it, in order."""
    known = {one.number: one for one in history}
    tries: dict[str, list[Experiment]] = {}
    for one in results:
        changed = changed_from(known.get(one.parent), one, origin)
        for kind in dict.fromkeys(_KIND_OF[tag[1:]] for tag in changed) or (NUMBERS_ONLY,):
            tries.setdefault(kind, []).append(one)
    return tries


def _spent(
    tries: Mapping[str, Sequence[Experiment]], believed: Mapping[int, Estimate]
) -> Iterator[Spent]:
    """Yield the kinds that were tried often enough since they last brought something."""
    for kind, children in tries.items():
        gains = [_gain_of(child, believed) for child in children]
        good = [at for at, gain in enumerate(gains) if gain and _beyond_noise(gain)]
        barren = gains[good[-1] + 1 :] if good else gains
        if len(barren) >= FEWEST_TRIES:
            told = (gain for gain in barren if gain)
            best = max(told, key=lambda gain: gain.mean, default=None)
            yield Spent(kind=kind, tries=len(barren), stopped=barren.count(None), best=best)


def _gain_of(child: Experiment, believed: Mapping[int, Estimate]) -> Estimate | None:
    """Return what is believed of the gain of a child; None where it was stopped early."""
    if child.number not in believed:
        return None
    return _gain(believed[child.parent], believed[child.number])


def _untried(
    history: Iterable[Experiment], origin: Origin, tries: Mapping[str, Sequence[Experiment]]
) -> tuple[str, ...]:
    """Return mechanisms that no design had, one of each kind in turn, the least tried first."""
    had = {tag for one in history if one.proposal for tag in one.proposal.mechanisms}
    had |= origin.mechanisms | _NO_WAY_OUT
    kinds = sorted(KINDS, key=lambda kind: len(tries.get(kind, ())))
    columns = ([tag for tag in KINDS[kind] if tag not in had] for kind in kinds)
    rounds = (tag for row in zip_longest(*columns) for tag in row if tag is not None)
    return tuple(islice(rounds, SUGGESTED))
