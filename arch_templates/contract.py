"""The contract that every token mixer keeps, and how its source becomes a module.

A token mixer is one file with one class `TokenMixer(nn.Module)`:

- `__init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0)`;
- `forward(self, x, state=None) -> (y, state)` with x and y of shape [B, T, hidden_size], any T from
  1, and `state` a pytree of tensors: tuples, lists or dicts. None stands for the start. The state
  that comes back, passed in with the tokens that follow, goes on where the last call ended: one
  method prefills, decodes a token and continues.
- Causal: y at t depends on x up to t only, neither on the total length nor on the other sequences
  of the batch; nothing is remembered from call to call but what is in `state`.
- Sub-quadratic in T, with a state that stays bounded. A state larger than the root template's at
  the same size is declared by the class attribute `large_state = True`.
- Dtype preserving: it trains in float32 and is checked in float64, so no hard casts.
- Imports: torch, einops, math, typing and `move37.arch_templates.ops`, nothing else.

A file without that class, but with one layer in the style of flash-linear-attention, whose
`forward` takes `hidden_states`, is wrapped in the contract (`adapter/`).
"""

from __future__ import annotations

import linecache
import types
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from move37 import syntax
from move37.arch_templates.adapter import style
from move37.arch_templates.adapter.imports import builtins_of_a_file
from move37.arch_templates.adapter.layer import adapt

FILENAME = "candidate.py"


class TokenMixerProtocol(Protocol):
    """What `build_mixer` returns, as a caller sees it."""

    def __call__(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:  # noqa: ANN401
        """Map x [B, T, hidden_size] to y of that shape, and return the state after it."""


def load_candidate(
    path: Path | str, hidden_size: int, num_heads: int, layer_idx: int = 0
) -> nn.Module:
    """Build the token mixer in a file, in this process: only for code that you trust.

    Raises:
        ValueError: the file holds neither a TokenMixer nor one layer that can be adapted.
    """
    source = Path(path).read_text(encoding="utf-8-sig")
    return build_mixer(source, hidden_size, num_heads, layer_idx)


def build_mixer(source: str, hidden_size: int, num_heads: int, layer_idx: int = 0) -> nn.Module:
    """Execute candidate source in a fresh namespace and construct its TokenMixer.

    Called only inside a box: the source is hostile until the process that ran it has ended. What
    the source itself raises comes out unchanged, with its lines in the traceback.

    Raises:
        ValueError: the source defines no class TokenMixer that is an nn.Module, and no layer.
    """
    module = types.ModuleType("candidate")
    linecache.cache[FILENAME] = (len(source), None, source.splitlines(keepends=True), FILENAME)
    tree = syntax.parse(source, FILENAME)
    layer = style.layer_name(tree)
    if layer is not None:
        tree = style.plain(tree)
        module.__dict__["__builtins__"] = builtins_of_a_file()
    # dont_inherit: or the candidate would be compiled with the __future__ imports of this file.
    exec(compile(tree, FILENAME, "exec", dont_inherit=True), module.__dict__)
    mixer_class = getattr(module, layer or style.CONTRACT, None)
    if not (isinstance(mixer_class, type) and issubclass(mixer_class, nn.Module)):
        raise ValueError(
            f"the source defines no class TokenMixer(nn.Module), found {mixer_class!r}; "
            "a token mixer is one file with a class of that name at its top level"
        )
    if layer is not None:
        return adapt(mixer_class, (hidden_size, num_heads), layer_idx)
    mixer: nn.Module = mixer_class(hidden_size, num_heads, layer_idx)
    return mixer
