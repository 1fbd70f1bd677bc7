"""What a layer keeps between calls, in the dialects in which published layers write it down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Cache:
    """Takes the place of fla's cache: for each layer a dict of named states.

    Layers write through `update(recurrent_state=..., layer_idx=..., offset=...)`, some through
    `update({...})` or `cache[layer_idx] = {...}`, and read `cache[layer_idx]["recurrent_state"]`
    once `len(cache) > layer_idx`. All of these work here.
    """

    def __init__(self, layer_idx: int, state: Mapping[str, Any] | None = None) -> None:
        self._layer_idx = layer_idx
        state = state or {}
        self._layers: dict[int, dict[str, Any]] = {
            layer: dict(states) for layer, states in state.get("layers", {}).items()
        }
        self._seen: int = state.get("seen", 0)

    def __len__(self) -> int:
        return max(self._layers, default=-1) + 1

    def __getitem__(self, layer: int) -> dict[str, Any]:
        return self._layers[layer]

    def __setitem__(self, layer: int | str, states: Any) -> None:  # noqa: ANN401 - whatever is kept
        if isinstance(layer, str):
            self.update({layer: states})
        else:
            self._layers[layer] = dict(states)

    def update(
        self,
        states: Mapping[str, Any] | None = None,
        layer_idx: int | None = None,
        offset: int = 0,
        **named: Any,  # noqa: ANN401 - whatever is kept
    ) -> dict[str, Any]:
        """Keep the states that are not None, and return all that is kept of the layer."""
        layer = self._layer_idx if layer_idx is None else layer_idx
        given = {k: v for k, v in {**(states or {}), **named}.items() if v is not None}
        kept = self._layers.setdefault(layer, {})
        kept.update({k: v for k, v in given.items() if k != "cache_kwargs"})
        self._seen += offset
        return kept

    def get_seq_length(self, layer_idx: int | None = None) -> int:  # noqa: ARG002 - fla's signature
        """Return how many tokens have gone by, as far as the layer told."""
        return self._seen

    def state(self) -> dict[str, Any]:
        """Return what is kept as a pytree from which a later cache goes on."""
        return {"layers": self._layers, "seen": self._seen}
