"""What a gate works with: boxes for the candidate, opened when needed and accounted for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from move37.arch_templates.catalog import template_source
from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.layer import Built, Counts, Described, Layer
from move37.evaluation.isolation.nursery import Box, BoxFailure, Limits, Nursery

ROOT = "delta_net"


@dataclass(frozen=True)
class Expense:
    """What a mixer costs at the size of the budget: counts of a pass, bytes of state.

    `state` is that after one call for each length, `stepped` that after the first of them token
    by token.
    """

    built: Built
    counts: Counts
    state: tuple[float, ...]
    stepped: float


_root_expense: WeakKeyDictionary[Nursery, Expense] = WeakKeyDictionary()
_root_lock = threading.Lock()


class Bench:
    """One layer under test: a main box that most gates share, and further ones beside it."""

    def __init__(
        self, source: str, nursery: Nursery, seconds: float, used: Callable[[Box], None]
    ) -> None:
        self.source = source
        self.described = Described(source)
        self.nursery = nursery
        self._until = time.monotonic() + seconds
        self._seconds = seconds
        self._used = used
        self._held = ExitStack()
        self._box: Box | None = None
        self._layer: Layer | None = None
        self._expense: Expense | None = None

    def of_layer(self, index: int) -> Bench:
        """Return a bench for the same candidate at another index, on the same clock."""
        other = Bench(self.source, self.nursery, self._seconds, self._used)
        other.described = Described(self.source, index)
        other._until = self._until
        return other

    @property
    def box(self) -> Box:
        """The main box."""
        if self._box is None:
            self._box = self._held.enter_context(self.open_box())
        return self._box

    @property
    def layer(self) -> Layer:
        """The candidate in the main box, in float64."""
        if self._layer is None:
            self._layer = Layer(self.box, self.described, limits.HIDDEN, "float64")
        return self._layer

    @contextmanager
    def open_box(self) -> Iterator[Box]:
        """Open a box that may use what time is left to the whole ladder.

        Raises:
            BoxFailure: no time is left.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise BoxFailure("timeout", f"the gates took longer than {self._seconds:.0f} s")
        box = self.nursery.open_box(Limits(seconds=left))
        try:
            with box:
                yield box
        finally:
            self._used(box)

    @contextmanager
    def plain(self, hidden: int) -> Iterator[tuple[Layer, Box]]:
        """Build the candidate in a box of its own, in float32 as it is trained."""
        with self.open_box() as box:
            yield Layer(box, self.described, hidden, "float32"), box

    def expense(self) -> Expense:
        """What the candidate costs at the size of the budget."""
        if self._expense is None:
            with self.plain(limits.BUDGET_HIDDEN) as (layer, _):
                self._expense = _expense(layer)
        return self._expense

    def root_expense(self) -> Expense:
        """What the root template costs, measured once a nursery in the same way.

        Raises:
            RuntimeError: it could not be measured, which no candidate is to blame for.
        """
        with _root_lock:
            if self.nursery not in _root_expense:
                try:
                    with self.nursery.open_box(Limits(seconds=limits.GATE_SECONDS)) as box:
                        root = Described(template_source(ROOT))
                        layer = Layer(box, root, limits.BUDGET_HIDDEN, "float32")
                        _root_expense[self.nursery] = _expense(layer)
                except BoxFailure as failure:
                    raise RuntimeError(f"{ROOT} could not be measured") from failure
            return _root_expense[self.nursery]

    def close(self) -> None:
        """End the main box; the next gate gets a fresh one."""
        held, self._held = self._held, ExitStack()
        self._box = self._layer = None
        held.close()


def _expense(layer: Layer) -> Expense:
    counts = layer.cost(limits.BUDGET_LENGTH)
    *state, stepped = layer.state(limits.STATE_LENGTHS)
    return Expense(layer.built, counts, tuple(state), stepped)
