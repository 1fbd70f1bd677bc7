"""A candidate's layer in its box, as functions from arrays to arrays; what it tells is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.claims import Unsound, number, numbers, words
from move37.evaluation.isolation import protocol
from move37.evaluation.isolation.nursery import Box

Array = np.ndarray


@dataclass(frozen=True)
class Setting:
    """In which state a layer is asked: its weights, its mode, its counters.

    `draw` 0 keeps the weights as initialised; `counters` 0 leaves step counters alone.
    """

    draw: int = 0
    train: bool = False
    trained: bool = False
    counters: int = 0
    shrink: float = 1.0

    def message(self) -> dict[str, object]:
        """Return it as a part of a request."""
        return vars(self).copy()

    def told(self) -> str:
        """Name it for the engineer."""
        parts = ["train mode" if self.train else "eval mode"]
        if self.draw:
            parts.append(f"weights re-drawn ({self.draw})")
        if self.trained:
            parts.append("after training steps")
        if self.counters:
            parts.append(f"step counters at {self.counters:,}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Case:
    """The deviation that one comparison found, and where."""

    figure: float
    where: str


@dataclass(frozen=True)
class Finding:
    """What a gate found: its figure, the case behind it, and other limits or words for it."""

    figure: float
    where: str = ""
    remark: str = ""
    limit: float | None = None
    advice: str = ""


@dataclass(frozen=True)
class Built:
    """What a box told of a mixer that it built."""

    parameters: int
    takes_mask: bool
    large_state: bool


@dataclass(frozen=True)
class Counts:
    """Cost of one forward and backward pass: operations, saved bytes, dispatched ops."""

    forward: float
    work: float
    saved: float
    ops: float


@dataclass(frozen=True)
class Gradients:
    """Names and sizes of the parameters, and the gradient of all of them on each batch."""

    names: list[str]
    sizes: list[int]
    batches: list[Array]


@dataclass(frozen=True)
class Described:
    """Which mixer: the text of the candidate, and the index of the layer that it is built for."""

    source: str
    index: int = 0


class Layer:
    """A mixer of one size in one box."""

    def __init__(
        self, box: Box, described: Described, hidden: int, precision: str, seed: int = 0
    ) -> None:
        self._box = box
        self.hidden = hidden
        size = {"hidden": hidden, "heads": limits.HEADS, "seed": seed}
        box.send({"op": "build", "precision": precision, **vars(described), **size})
        told = box.receive_json()
        self.built = Built(
            parameters=int(number(told, "parameters", 1e12)),
            takes_mask=told.get("takes_mask") is True,
            large_state=told.get("large_state") is True,
        )

    def sequence(
        self,
        inputs: Sequence[Array],
        setting: Setting,
        cuts: Sequence[Sequence[int]] = (),
        masks: Sequence[Array] = (),
        relay: bool = False,
    ) -> tuple[list[Array], dict[str, Any]]:
        """Run inputs [B, T, D] in order through one fresh copy; cuts hand the state on."""
        self._box.send(
            {
                "op": "forward",
                "cuts": [list(c) for c in cuts or ((),) * len(inputs)],
                "masks": [m.tolist() for m in masks],
                "relay": relay,
                **setting.message(),
            },
            inputs,
        )
        told = self._box.receive_json()
        return [self._box.receive_array(x.shape, "<f8", finite=False) for x in inputs], told

    def __call__(self, x: Array, setting: Setting, cuts: Sequence[int] = ()) -> Array:
        """Run one input [B, T, D] through a fresh copy."""
        (y,), _ = self.sequence([x], setting, [cuts], relay=bool(cuts))
        if not np.isfinite(y).all():
            raise Unsound(
                f"the output holds NaN or infinity for {len(x)} rows of length {x.shape[1]}, "
                f"{setting.told()}"
            )
        return y

    def wearing(
        self, pair: tuple[int, int], x: Array, settings: Sequence[Setting], cuts: Sequence[int]
    ) -> list[Array]:
        """Return y for `x` in each setting, of the first layer with the weights of the second.

        In eval mode in pieces that end at the cuts. There is none where the names or shapes of
        the weights differ.
        """
        asked = [setting.message() for setting in settings]
        of, weights_of = pair
        message = {"op": "wearing", "of": of, "weights_of": weights_of, "cuts": list(cuts)}
        self._box.send({**message, "settings": asked}, [x])
        fits = self._box.receive_json().get("fits")
        if not isinstance(fits, bool):
            raise Unsound("the process did not tell whether weights fit")
        if not fits:
            return []
        return [self._box.receive_array(x.shape, "<f8", finite=False) for _ in settings]

    def backward(self, x: Array, cotangent: Array, setting: Setting) -> Array:
        """Return the vector-Jacobian product [B, T, D]."""
        self._box.send({"op": "backward", **setting.message()}, [x, cotangent])
        return self._box.receive_array(x.shape, "<f8", finite=False)

    def gradients(self, batches: Sequence[Array], setting: Setting) -> Gradients:
        """Return the gradients on pairs of input and cotangent, a training step after each."""
        self._box.send({"op": "gradients", **setting.message()}, batches)
        told = self._box.receive_json()
        names = words(told, "names")
        sizes = [int(size) for size in numbers(told, "sizes", limits.PARAMETER_LIMIT)]
        total = sum(sizes)
        if len(names) != len(sizes) or total > limits.PARAMETER_LIMIT:
            raise Unsound(f"the process described {len(names)} parameters of {total} numbers")
        count = len(batches) // 2 if sizes else 0
        arrays = [self._box.receive_array((total,), "<f8", finite=False) for _ in range(count)]
        return Gradients(names, sizes, arrays)

    def stress(self, x: Array, cotangent: Array) -> tuple[str, Array, Array, Array]:
        """Return in float32 the dtype that y had, y, dx, and the gradient of all parameters."""
        self._box.send({"op": "stress"}, [x, cotangent])
        told = self._box.receive_json()
        length = int(number(told, "length", limits.PARAMETER_LIMIT))
        y, dx = (self._box.receive_array(x.shape, "<f4", finite=False) for _ in range(2))
        flat = self._box.receive_array((length,), "<f4", finite=False)
        return str(told.get("dtype"))[:40], y, dx, flat

    def cost(self, length: int) -> Counts:
        """Count one forward and backward pass over a single row."""
        self._box.send({"op": "cost"}, [noise(0, 1, length, self.hidden).astype("<f4")])
        told = self._box.receive_json()
        return Counts(*(number(told, name, 1e18) for name in ("forward", "work", "saved", "ops")))

    def state(self, lengths: Sequence[int]) -> list[float]:
        """Return the bytes of the state of one sequence after each length.

        Each is one call; a last figure is for the first length again, token by token.
        """
        inputs = [
            noise(0, 1, length, self.hidden).astype("<f4") for length in (*lengths, lengths[0])
        ]
        self._box.send({"op": "state"}, inputs)
        told = self._box.receive_json()
        strange = words(told, "strange")
        if strange:
            raise Unsound(f"the state holds {', '.join(strange[:4])}, expected tensors only")
        sizes = numbers(told, "bytes", 1e15)
        if len(sizes) != len(inputs):
            raise Unsound("the process described its state wrongly")
        return sizes

    def drill(self, x: Array, target: Array, probe: Array) -> tuple[list[str], bytes, Array]:
        """Train some steps; return the counters that moved, the weights, and y for `probe`."""
        self._box.send({"op": "drill", **Setting(train=True).message()}, [x, target, probe])
        told = self._box.receive_json()
        counters = words(told, "counters")
        return counters, *self._saved(probe)

    def snapshot(self, setting: Setting, probe: Array) -> tuple[bytes, Array]:
        """Return the weights in this setting, and y for `probe`."""
        self._box.send({"op": "snapshot", **setting.message()}, [probe])
        return self._saved(probe)

    def _saved(self, probe: Array) -> tuple[bytes, Array]:
        weights = opaque(self._box)
        return weights, self._box.receive_array(probe.shape, "<f8", finite=False)

    def restore(self, weights: bytes, probe: Array) -> Array:
        """Load weights into a mixer that has never run; return its y for `probe`."""
        self._box.send({"op": "restore"}, [np.frombuffer(weights, np.uint8), probe])
        return self._box.receive_array(probe.shape, "<f8", finite=False)


def opaque(box: Box) -> bytes:
    """Return the weights that come next, unread."""
    kind, payload = box.receive(limit=limits.WEIGHT_LIMIT)
    if kind != protocol.WEIGHTS:
        raise Unsound("the process returned no weights")
    return payload


def noise(seed: int, rows: int, length: int, hidden: int = limits.HIDDEN) -> Array:
    """Draw an input [B, T, D] of standard normal numbers."""
    return np.random.default_rng(seed).standard_normal((rows, length, hidden))


def relative(a: Array, b: Array) -> float:
    """Largest absolute difference over the largest magnitude of `b`; 0 for two zero arrays."""
    # Numbers near the largest that there are may differ by more than that: infinitely far apart.
    with np.errstate(over="ignore"):
        difference = float(np.abs(a - b).max())
        largest = float(np.abs(b).max())
        return float(np.float64(difference) / largest) if largest > 0 else difference


def worst(found: Iterable[Case]) -> Finding:
    """Return the case with the largest figure."""
    case = max(found, key=lambda case: case.figure)
    return Finding(case.figure, case.where)


def steadied(cases: Callable[[Setting], list[Case]], setting: Setting) -> list[Case]:
    """Compare at re-drawn weights, and at smaller ones where the first overflow."""
    try:
        return cases(setting)
    except Unsound:
        if not setting.draw:
            raise
        return cases(replace(setting, shrink=limits.SHRINK))
