r"""Kimi Delta Attention: the delta rule with a decay for each channel of the key.

With a state S [K, V] for each head, write strength beta and log decays g_t [K]::

    S_t = (I - beta_t k_t k_t^T) Diag(exp(g_t)) S_{t-1} + beta_t k_t v_t^T
    o_t = scale * S_t^T q_t

Each row of the memory fades at its own pace, and a token still replaces what the decayed state
holds under its key. Source: Kimi Linear, arXiv 2510.26692, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from move37.arch_templates.ops.backend import kernel
from move37.arch_templates.ops.channel_decay import ChannelDecay, products_within
from move37.arch_templates.ops.chunks import (
    CHUNK_SIZE,
    Cut,
    Steps,
    carry,
    invert_unit_lower,
    working_dtype,
)
from move37.arch_templates.ops.shapes import expect_heads

Result = tuple[Tensor, Tensor | None]


def naive_recurrent_kda(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
) -> Result:
    """Apply the rule token by token: its definition. Arguments as in `chunk_kda`."""
    expect_heads(q, k, v, {"beta": beta}, initial_state, {"g": g})
    batch, length, heads, key_dim = q.shape
    dtype, result = working_dtype(q), q.dtype
    q, k, v, g, beta = (x.to(dtype) for x in (q, k, v, g, beta))
    state = q.new_zeros(batch, heads, key_dim, v.shape[-1])
    if initial_state is not None:
        state = initial_state.to(dtype)
    q = q * (key_dim**-0.5 if scale is None else scale)
    outputs = []
    for t in range(length):
        state = state * g[:, t, :, :, None].exp()
        key = k[:, t, :, :, None]
        error = v[:, t, :, None, :] - key.mT @ state
        state = state + key * (error * beta[:, t, :, None, None])
        outputs.append(q[:, t, :, None, :] @ state)
    output = torch.cat(outputs, dim=2).transpose(1, 2).to(result)
    return output, state if output_final_state else None


def chunk_kda(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    chunk_size: int = CHUNK_SIZE,
) -> Result:
    """Apply the delta rule with channel-wise log decays g [B, T, H, K], at most 0, by chunks.

    q, k are [B, T, H, K], v [B, T, H, V], beta [B, T, H], states [B, H, K, V]; scale is K**-0.5
    unless given. Returns the output [B, T, H, V] and the final state, or None unless asked for.
    Chunks have the largest power of two up to `chunk_size`. Any decay is safe, -inf too.

    Raises:
        ValueError: an argument has the wrong shape or device, T is 0, or chunk_size is below 1.
    """
    expect_heads(q, k, v, {"beta": beta}, initial_state, {"g": g})
    fast = kernel("chunk_kda", q)
    if fast is not None:
        return fast(q, k, v, g, beta, scale, initial_state, output_final_state)
    cut = Cut.of(q, chunk_size, power_of_two=True)
    if q.shape[1] == 1:
        return naive_recurrent_kda(q, k, v, g, beta, scale, initial_state, output_final_state)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    dtype, result = working_dtype(q), q.dtype
    q, k, v, g, beta = (cut.split(x.to(dtype)) for x in (q, k, v, g, beta[..., None]))
    decay = ChannelDecay.of(g)
    # Both read the state after the decay of their token.
    products = products_within(torch.stack([q, k], dim=2), k[:, :, None], decay.total)
    scores, system = products[..., 0].unbind(2)
    inverse = invert_unit_lower(system * beta) * beta.mT
    steps = Steps(
        values=inverse @ v,
        reads=inverse @ (k * decay.since_start),
        keys=k * decay.to_end,
        whole=decay.whole,
    )
    before, writes, state = carry(cut, steps, initial_state)
    output = torch.baddbmm((q * decay.since_start) @ before, scores, writes)
    return cut.join(output * scale).to(result), cut.finish(state) if output_final_state else None
