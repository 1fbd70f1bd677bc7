r"""Gated linear attention: a decay for each channel of the keys, as recurrence and chunkwise.

With a state S [K, V] for each head and log decays g_t [K]::

    S_t = diag(exp(g_t)) S_{t-1} + k_t v_t^T
    o_t = scale * S_t^T q_t

Source: arXiv 2312.06635, section 4. The form inside a chunk is another, for the sake of decays of
any strength: see `_within`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from move37.arch_templates.ops.backend import kernel
from move37.arch_templates.ops.chunks import Cut, working_dtype
from move37.arch_templates.ops.linear_attention import scan
from move37.arch_templates.ops.shapes import expect_heads

Result = tuple[Tensor, Tensor | None]

# Near the best of 16 to 64 on one CPU thread at T = 1024, K = 24 and 64. Smaller chunks hold more
# states, each K by V, in memory.
CHUNK_SIZE = 32


def naive_recurrent_gla(  # noqa: PLR0913 - the signature of the chunkwise form
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
) -> Result:
    """Apply gated linear attention token by token: its definition. Shapes as in `chunk_gla`."""
    _expect(q, k, v, g, initial_state)
    batch, length, heads, key_dim = q.shape
    dtype, result = working_dtype(q), q.dtype
    q, k, v, g = (x.to(dtype) for x in (q, k, v, g))
    if initial_state is None:
        state = q.new_zeros(batch, heads, key_dim, v.shape[-1])
    else:
        state = initial_state.to(dtype)
    q = q * (key_dim**-0.5 if scale is None else scale)
    outputs = []
    for t in range(length):
        state = state * g[:, t, :, :, None].exp() + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs.append(q[:, t, :, None, :] @ state)
    output = torch.cat(outputs, dim=2).transpose(1, 2).to(result)
    return output, state if output_final_state else None


def chunk_gla(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    chunk_size: int = CHUNK_SIZE,
) -> Result:
    """Apply gated linear attention, chunk by chunk; exact for any decay, also for g of -inf.

    q, k and the log decays g are [B, T, H, K], v [B, T, H, V], states [B, H, K, V]; scale is
    K**-0.5 unless given. Returns the output [B, T, H, V] and the final state, or None unless asked
    for. Chunks have as many tokens as the largest power of two up to chunk_size.

    Raises:
        ValueError: an argument has the wrong shape or device, T is 0, or chunk_size is below 1.
    """
    _expect(q, k, v, g, initial_state)
    fast = kernel("chunk_gla", q)
    if fast is not None:
        return fast(q, k, v, g, scale, initial_state, output_final_state)
    if q.shape[1] == 1:
        return naive_recurrent_gla(q, k, v, g, scale, initial_state, output_final_state)
    dtype, result = working_dtype(q), q.dtype
    q, k, v, g = (x.to(dtype) for x in (q, k, v, g))
    cut = Cut.of(q, chunk_size, power_of_two=True)
    q = cut.split(q * (q.shape[-1] ** -0.5 if scale is None else scale))
    k, v = cut.split(k), cut.split(v)
    scores, since_start, to_end = _within(q, k, cut.split(g))
    added = (k * to_end).mT @ v
    if cut.chunks == 1 and initial_state is None:
        output, state = scores @ v, added
    else:
        before, state = scan(cut, since_start[:, -1, :, None], added, initial_state)
        output = torch.baddbmm((q * since_start) @ before, scores, v)
    return cut.join(output).to(result), cut.finish(state) if output_final_state else None


def _expect(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: Tensor | None) -> None:
    expect_heads(q, k, v, {}, state, {"g": g})


def _within(q: Tensor, k: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what tokens [M, C, K] of a chunk see of each other: scores [M, C, C], zero above.

    Also returns the decays [M, C, K] from before the chunk to each token, and from each token to
    the end of the chunk.

    What token i sees of token j has decayed by exp(G_i - G_j), G being the sum of g. Split into
    exp(G_i) exp(-G_j), to become a matrix product, the second factor overflows. So the triangle of
    the scores is halved: what the late half sees of the early one, a square, has decayed from j to
    the middle and from the middle to i, two factors of at most one. The squares of one size, over
    all chunks, are one product; log2(C) sizes, from single tokens up, fill the triangle. Decays are
    only ever multiplied, so that no difference cancels and none is inf - inf.
    """
    scores = (q * k).sum(-1).view(-1, 1, 1)
    since_start, to_end = g.exp(), torch.ones_like(g)
    half = 1
    while half < g.shape[1]:
        early, late = _halves(scores, half)
        early_start, late_start = _halves(since_start, half)
        early_end, late_end = _halves(to_end, half)
        square = (_halves(q, half)[1] * late_start) @ (_halves(k, half)[0] * early_end).mT
        scores = torch.cat([F.pad(early, (0, half)), torch.cat([square, late], dim=2)], dim=1)
        early_whole, late_whole = early_start[:, -1:], late_start[:, -1:]
        since_start = torch.cat([early_start, late_start * early_whole], dim=1).view_as(g)
        to_end = torch.cat([early_end * late_whole, late_end], dim=1).view_as(g)
        half *= 2
    return scores, since_start, to_end


def _halves(x: Tensor, half: int) -> tuple[Tensor, ...]:
    """Cut [..., D] into blocks of twice `half` rows, and return their halves, [N, half, D] each."""
    return x.reshape(-1, 2, half, x.shape[-1]).unbind(1)
