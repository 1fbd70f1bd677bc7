"""The contract that every token mixer keeps, and how its source becomes a module."""

from __future__ import annotations

import types

from torch import nn


def build_mixer(source: str, hidden_size: int, num_heads: int, layer_idx: int = 0) -> nn.Module:
    """Execute candidate source in a fresh namespace and construct its TokenMixer.

    Called only inside a box: the source is hostile until the process that ran it has ended.

    Raises:
        ValueError: the source defines no class TokenMixer that is an nn.Module.
    """
    module = types.ModuleType("candidate")
    exec(compile(source, "candidate.py", "exec"), module.__dict__)
    mixer_class = getattr(module, "TokenMixer", None)
    if not (isinstance(mixer_class, type) and issubclass(mixer_class, nn.Module)):
        raise ValueError("the source defines no class TokenMixer(nn.Module)")
    mixer: nn.Module = mixer_class(hidden_size, num_heads, layer_idx)
    return mixer
