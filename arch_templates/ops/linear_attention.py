r"""Linear attention with or without a scalar decay, as a recurrence and in chunkwise form.

With a state S [K, V] for each head and log decay g (zero without decay)::

    S_t = exp(g_t) S_{t-1} + k_t v_t^T
    o_t = scale * S_t^T q_t

Sources: linear attention, arXiv 2006.16236; data-dependent scalar decay, arXiv 2405.21060 (SSD);
chunkwise form, arXiv 2312.06635, section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from move37.arch_templates.ops.chunks import CHUNK_SIZE, Cut, Decay, times
from move37.arch_templates.ops.shapes import expect_heads


def naive_recurrent_simple_gla(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Apply decayed linear attention token by token. Shapes as in `chunk_simple_gla`."""
    expect_heads(q, k, v, {"g": g}, initial_state)
    batch, length, heads, key_dim = q.shape
    state = initial_state
    if state is None:
        state = q.new_zeros(batch, heads, key_dim, v.shape[-1])
    q = q * (key_dim**-0.5 if scale is None else scale)
    outputs = []
    for t in range(length):
        if g is not None:
            state = state * g[:, t, :, None, None].exp()
        state = state + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs.append(q[:, t, :, None, :] @ state)
    return torch.cat(outputs, dim=2).transpose(1, 2), state if output_final_state else None


def chunk_simple_gla(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    chunk_size: int = CHUNK_SIZE,
) -> tuple[Tensor, Tensor | None]:
    """Apply linear attention, chunk by chunk, with scalar log decays g [B, T, H] or none.

    q, k are [B, T, H, K], v [B, T, H, V], states [B, H, K, V]; scale is K**-0.5 unless given.
    Returns the output [B, T, H, V] and the final state, or None unless asked for.

    Raises:
        ValueError: an argument has the wrong shape, T is 0, or chunk_size is below 1.
    """
    expect_heads(q, k, v, {"g": g}, initial_state)
    if q.shape[1] == 1:
        return naive_recurrent_simple_gla(q, k, v, g, scale, initial_state, output_final_state)
    cut = Cut.of(q, chunk_size)
    decay = Decay.of(cut, g, q)
    q = cut.split(q * (q.shape[-1] ** -0.5 if scale is None else scale))
    k, v = cut.split(k), cut.split(v)
    scores = times(q @ k.mT, decay.pairs) * decay.causal
    added = times(k, decay.to_end).mT @ v
    if cut.chunks == 1 and initial_state is None:
        output, state = scores @ v, added
    else:
        before, state = _scan(cut, decay.whole, added, initial_state)
        output = torch.baddbmm(times(q, decay.since_start) @ before, scores, v)
    return cut.join(output), cut.finish(state) if output_final_state else None


def _scan(
    cut: Cut, whole: Tensor | None, added: Tensor, initial_state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run S' = whole S + added over the chunks; return S before each chunk, and the last S'."""
    state = cut.start(initial_state, added)
    keeps = (None,) * cut.chunks if whole is None else cut.by_chunk(whole)
    before = []
    for keep, add in zip(keeps, cut.by_chunk(added), strict=True):
        before.append(state)
        state = add + times(state, keep)
    return torch.cat(before), state
