"""Softmax attention: over a sliding window, with a bounded state, and over everything before.

q and k are [B, T, H, K], v is [B, T, H, V], scale is K**-0.5 unless given.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from move37.arch_templates.ops.shapes import expect_heads, expect_one_device, expect_shape

# Keys and values of the last W - 1 tokens, [B, W - 1, H, K] and [B, W - 1, H, V], zeros where there
# was no token yet; and the number of tokens so far, an integer [], which is the position of the
# next token, for `apply_rotary`.
WindowState = tuple[Tensor, Tensor, Tensor]
# Keys and values of all tokens so far.
History = tuple[Tensor, Tensor]

# A block of C queries reads its own keys and those of the window before: W - 1 + C, of which each
# query needs W. So C follows the window, within bounds: below, launches outweigh what is saved;
# above, the scores leave the cache of a CPU.
SHORTEST_BLOCK, LONGEST_BLOCK = 32, 64


def naive_attention(
    q: Tensor, k: Tensor, v: Tensor, window_size: int | None = None, scale: float | None = None
) -> Tensor:
    """Return o [B, T, H, V]: token t attends to the last `window_size` tokens up to t, or to all.

    The definition of the two ops below, without state.
    """
    expect_heads(q, k, v, {}, None)
    at = torch.arange(q.shape[1], device=q.device)
    age = at[:, None] - at
    seen = (age >= 0) if window_size is None else (age >= 0) & (age < window_size)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = torch.einsum("bihk,bjhk->bhij", q, k) * scale
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    return torch.einsum("bhij,bjhv->bihv", weights, v)


def sliding_window_attention(  # noqa: PLR0913 - as the other ops, with a window
    q: Tensor,
    k: Tensor,
    v: Tensor,
    window_size: int,
    scale: float | None = None,
    state: WindowState | None = None,
    chunk_size: int | None = None,
) -> tuple[Tensor, WindowState]:
    """Attend to the last `window_size` tokens, the present one among them (arXiv 2004.05150).

    Returns o [B, T, H, V] and the state after the last token. The cost grows like T times the
    window. Blocks have chunk_size queries, by default about as many as the window.

    Raises:
        ValueError: an argument has the wrong shape or device, T is 0, or window_size or chunk_size
            is below 1.
    """
    _expect_window(q, k, v, window_size, state)
    length, reach = q.shape[1], window_size - 1
    if chunk_size is None:
        chunk_size = min(max(window_size, SHORTEST_BLOCK), LONGEST_BLOCK)
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}, expected at least 1")
    if state is None:
        position = torch.zeros((), dtype=torch.int64, device=q.device)
        keys, values = (F.pad(x, (0, 0, 0, 0, reach, 0)) for x in (k, v))
    else:
        position = state[2]
        keys, values = (torch.cat(pair, dim=1) for pair in zip(state[:2], (k, v), strict=True))
    after = keys[:, length:], values[:, length:], position + length
    if state is None and length <= reach:
        # A window that reaches behind the first token has nothing to see there.
        keys, values = (x[:, window_size - length :] for x in (keys, values))
    return _blocks(q, keys, values, scale, position, chunk_size), after


def causal_attention(
    q: Tensor, k: Tensor, v: Tensor, scale: float | None = None, state: History | None = None
) -> tuple[Tensor, History]:
    """Attend to all tokens so far: the reference, with cost quadratic in T and a state that grows.

    Returns o [B, T, H, V] and the state (keys [B, T', H, K], values [B, T', H, V]).

    Raises:
        ValueError: an argument has the wrong shape or device, or T is 0.
    """
    expect_heads(q, k, v, {}, None)
    mask = None
    length = q.shape[1]
    if state is not None:
        past = state[0].shape[1] if state[0].dim() == 4 else 0
        _expect_past(state, k, v, past, "[B, T', H, {}]")
        k, v = torch.cat([state[0], k], dim=1), torch.cat([state[1], v], dim=1)
        mask = torch.ones(length, k.shape[1], dtype=torch.bool, device=q.device)
        mask = mask.tril(k.shape[1] - length)
    o = F.scaled_dot_product_attention(
        q.transpose(1, 2),
        k.transpose(1, 2),
        v.transpose(1, 2),
        attn_mask=mask,
        is_causal=mask is None,
        scale=scale,
    )
    return o.transpose(1, 2), (k, v)


def _blocks(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float | None,
    position: Tensor,
    chunk_size: int,
) -> Tensor:
    """Attend block by block; keys [B, reach + T, H, K] begin `reach` tokens before q."""
    batch, length, heads, dim = q.shape
    reach = keys.shape[1] - length
    blocks = -(-length // chunk_size)
    size = -(-length // blocks)
    padding = (0, 0, 0, 0, 0, blocks * size - length)
    q = F.pad(q, padding).view(batch, blocks, size, heads, dim).permute(1, 0, 3, 2, 4)
    # Blocks go to the batch, rows and heads to the heads, as the mask differs by block only.
    keys, values = (
        F.pad(x, padding).unfold(1, reach + size, size).permute(1, 0, 2, 4, 3).flatten(1, 2)
        for x in (keys, values)
    )
    query = torch.arange(size, device=q.device)[:, None]
    key = torch.arange(reach + size, device=q.device)
    first = size * torch.arange(blocks, device=q.device)[:, None, None, None]
    seen = (query <= key) & (key <= query + reach) & (first + key >= reach - position)
    o = F.scaled_dot_product_attention(q.flatten(1, 2), keys, values, attn_mask=seen, scale=scale)
    o = o.view(blocks, batch, heads, size, -1).permute(1, 0, 3, 2, 4)
    return o.flatten(1, 2)[:, :length]


def _expect_window(
    q: Tensor, k: Tensor, v: Tensor, window_size: int, state: WindowState | None
) -> None:
    expect_heads(q, k, v, {}, None)
    if window_size < 1:
        raise ValueError(f"window_size is {window_size}, expected at least 1")
    if state is not None:
        _expect_past(state[:2], k, v, window_size - 1, "[B, W - 1, H, {}]")
        expect_shape("state[2]", state[2], (), "[]")
        expect_one_device({"q": q, "state[2]": state[2]})


def _expect_past(past: History, k: Tensor, v: Tensor, length: int, words: str) -> None:
    for index, (tensor, new, axis) in enumerate(zip(past, (k, v), "KV", strict=True)):
        shape = (new.shape[0], length, *new.shape[2:])
        expect_shape(f"state[{index}]", tensor, shape, words.format(axis))
        expect_one_device({axis.lower(): new, f"state[{index}]": tensor})
