"""Sequences of several lengths packed into one, in the names of fla's `layers.utils`.

A padded batch [B, T, ...] becomes [1, total, ...] with the boundaries `cu_seqlens` [N + 1], and
every op that is told them starts afresh at each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# From tensors of one sequence [1, t, ...] and the state before to what comes out, and the state.
Run = Callable[[Sequence[Tensor], Tensor | None], tuple[Tensor, Tensor | None]]


def by_sequence(
    run: Run, tensors: Sequence[Tensor], state: Tensor | None, cu_seqlens: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Run each packed sequence of tensors [1, total, ...] by itself, with its row of the state.

    Without `cu_seqlens` there is nothing packed: [B, T, ...] in one go.

    Raises:
        ValueError: the tensors have several rows, or the boundaries do not end with them.
    """
    if cu_seqlens is None:
        return run(tensors, state)
    edges = [int(edge) for edge in cu_seqlens]
    batch, total = tensors[0].shape[:2]
    if batch != 1 or edges[0] != 0 or edges[-1] != total:
        shape = list(tensors[0].shape)
        raise ValueError(f"cu_seqlens is {edges}, expected 0 to {total} for one row, got {shape}")
    outputs, states = [], []
    for row, (start, end) in enumerate(pairwise(edges)):
        if start == end:
            # All of this row is padding.
            continue
        before = None if state is None else state[row : row + 1]
        y, after = run([t[:, start:end] for t in tensors], before)
        outputs.append(y)
        states.append(after)
    kept = [after for after in states if after is not None]
    return torch.cat(outputs, dim=1), torch.cat(kept) if kept else None


def get_unpad_data(attention_mask: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return from a mask [B, T] the places of real tokens, their boundaries, the longest row."""
    lengths = attention_mask.sum(-1, dtype=torch.int32)
    indices = torch.nonzero(attention_mask.flatten()).flatten()
    cu_seqlens = F.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
    return indices, cu_seqlens, int(lengths.max())


def index_first_axis(x: Tensor, indices: Tensor) -> Tensor:
    """Take the rows of x [S, ...] that are named."""
    return x[indices]


def index_put_first_axis(x: Tensor, indices: Tensor, first_axis_dim: int) -> Tensor:
    """Put the rows of x where they are named among `first_axis_dim` rows, zeros elsewhere."""
    return x.new_zeros(first_axis_dim, *x.shape[1:]).index_copy(0, indices, x)


def pad_input(hidden_states: Tensor, indices: Tensor, batch_size: int, seq_len: int) -> Tensor:
    """Undo the packing: [total, ...] to [B, T, ...], zeros where there was padding."""
    whole = index_put_first_axis(hidden_states, indices, batch_size * seq_len)
    return whole.view(batch_size, seq_len, *hidden_states.shape[1:])


def unpad_hidden_states(
    hidden_states: Tensor,
    cu_seqlens: Tensor | None,
    attention_mask: Tensor | None,
    q_len: int,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Pack [B, T, ...] by a mask; unchanged where there is none or boundaries are given."""
    if cu_seqlens is not None or attention_mask is None:
        return hidden_states, None, cu_seqlens
    indices, cu_seqlens, _ = get_unpad_data(attention_mask[:, -q_len:])
    return hidden_states.flatten(0, 1)[indices][None], indices, cu_seqlens


def repad_hidden_states(
    hidden_states: Tensor, indices: Tensor | None, batch_size: int, q_len: int
) -> Tensor:
    """Undo `unpad_hidden_states`."""
    if indices is None:
        return hidden_states
    return pad_input(hidden_states.squeeze(0), indices, batch_size, q_len)


def get_layer_cache(module: Any, past_key_values: Any) -> Any:  # noqa: ANN401 - fla's signature
    """Return what the cache keeps of a layer, None where it keeps nothing."""
    if past_key_values is None or len(past_key_values) <= module.layer_idx:
        return None
    return past_key_values[module.layer_idx]


def update_layer_cache(
    module: Any,  # noqa: ANN401 - fla's signature
    past_key_values: Any,  # noqa: ANN401 - fla's signature
    **states: Any,  # noqa: ANN401 - fla's signature
) -> Any:  # noqa: ANN401 - fla's signature
    """Keep states of a layer in the cache, where there is one."""
    if past_key_values is None:
        return None
    return past_key_values.update(layer_idx=module.layer_idx, **states)
