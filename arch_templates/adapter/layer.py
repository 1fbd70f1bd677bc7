"""The contract of a token mixer around a layer in the style of flash-linear-attention."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from move37.arch_templates.adapter.cache import Cache

WIDTH = ("hidden_size", "d_model", "embed_dim", "dim", "n_embd")
HEADS = ("num_heads", "n_heads", "num_attention_heads", "n_head", "heads")
INDEX = ("layer_idx", "layer_id", "layer_index")
CACHE = ("past_key_values", "past_key_value")


class AdaptedLayer(nn.Module):
    """A layer as a token mixer, x [B, T, D]; the state is what the layer wrote into its cache.

    Of the tuple that the layer returns only its first part goes on: an auxiliary loss is dropped,
    as the evaluator trains every mixer on the same loss.
    """

    def __init__(self, layer: nn.Module, layer_idx: int) -> None:
        super().__init__()
        self.layer = layer
        self.layer_idx = layer_idx
        self.large_state = getattr(layer, "large_state", False) is True
        taken = inspect.signature(layer.forward).parameters
        self._cache_name = next((name for name in CACHE if name in taken), None)
        self._flags = {"use_cache": True} if "use_cache" in taken else {}
        if any(p.kind is p.VAR_KEYWORD for p in taken.values()) and self._cache_name:
            self._flags = {"use_cache": True}

    def forward(
        self, x: Tensor, state: dict[str, Any] | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return y and the state after the last token.

        Raises:
            NotImplementedError: the layer is to go on, but has kept nothing to go on from.
        """
        return self._run(x, state, {})

    def _run(
        self, x: Tensor, state: dict[str, Any] | None, named: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Any]]:
        if state is not None and not state["layers"]:
            raise NotImplementedError(
                "the layer keeps nothing between calls, so it cannot go on from earlier tokens: "
                "decoding token by token is not written"
            )
        cache = Cache(self.layer_idx, state)
        held = {self._cache_name: cache} if self._cache_name else {}
        result = self.layer(x, **held, **self._flags, **named)
        y = result[0] if isinstance(result, (tuple, list)) else result
        return y, cache.state()


class MaskedLayer(AdaptedLayer):
    """The same for a layer that says how it treats padding."""

    def forward(
        self,
        x: Tensor,
        state: dict[str, Any] | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return y and the state; in the mask [B, T] 0 stands for padding."""
        return self._run(x, state, {"attention_mask": attention_mask})


def adapt(layer_class: type[nn.Module], size: tuple[int, int], layer_idx: int) -> AdaptedLayer:
    """Construct a layer of `size` (width, heads) as a token mixer.

    Raises:
        ValueError: the constructor asks for an argument whose meaning is not known.
    """
    layer = layer_class(**_arguments(layer_class, size, layer_idx))
    masked = "attention_mask" in inspect.signature(layer.forward).parameters
    return (MaskedLayer if masked else AdaptedLayer)(layer, layer_idx)


def _arguments(
    layer_class: type[nn.Module], size: tuple[int, int], layer_idx: int
) -> dict[str, int]:
    """Choose among the constructor's parameters those that size a layer; the others stay."""
    parameters = inspect.signature(layer_class).parameters
    width, heads = size
    known = {
        **dict.fromkeys(WIDTH, width),
        **dict.fromkeys(HEADS, heads),
        **dict.fromkeys(INDEX, layer_idx),
        # Heads share the width: at a fixed size for each the layer would be as wide as that.
        "head_dim": width // heads,
    }
    needed = {n for n, p in parameters.items() if p.default is p.empty and p.kind not in _REST}
    if unknown := sorted(needed - known.keys()):
        raise ValueError(
            f"{layer_class.__name__} needs the argument {unknown[0]!r}, whose value is not known "
            "here; give it a default"
        )
    chosen = {*needed, *({"head_dim"} & parameters.keys())}
    for names in (WIDTH, HEADS, INDEX):
        # One name of several: a width given twice may be taken for two things.
        chosen |= set([name for name in names if name in parameters][:1])
    return {name: known[name] for name in chosen}


_REST = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
