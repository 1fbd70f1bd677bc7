r"""The generalised delta rule of RWKV-7: a diagonal and a free rank-one part in each transition.

With a state S [K, V] for each head, log decays w_t [K] and vectors a_t, b_t, k_t, r_t [K]::

    S_t = (Diag(exp(w_t)) + b_t a_t^T) S_{t-1} + k_t v_t^T
    o_t = scale * S_t^T r_t

What is read (a), what is taken off (b) and what is written (k) are free of each other; the delta
rule with channel-wise decay is the case a = exp(w) k, b = -beta k, with k beta written. Source:
RWKV-7, arXiv 2503.14456, section 3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
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
from move37.arch_templates.ops.shapes import expect_heads, expect_sequence

Result = tuple[Tensor, Tensor | None]


def naive_recurrent_rwkv7(  # noqa: PLR0913 - the signature of fla-core
    r: Tensor,
    w: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    scale: float = 1.0,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
) -> Result:
    """Apply the rule token by token: its definition. Arguments as in `chunk_rwkv7`."""
    _expect(r, w, k, v, a, b, initial_state)
    batch, length, heads, key_dim = r.shape
    dtype, result = working_dtype(r), r.dtype
    r, w, k, v, a, b = (x.to(dtype) for x in (r, w, k, v, a, b))
    state = r.new_zeros(batch, heads, key_dim, v.shape[-1])
    if initial_state is not None:
        state = initial_state.to(dtype)
    outputs = []
    for t in range(length):
        read = a[:, t, :, None, :] @ state
        state = state * w[:, t, :, :, None].exp() + b[:, t, :, :, None] * read
        state = state + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs.append(r[:, t, :, None, :] @ state)
    output = torch.cat(outputs, dim=2).transpose(1, 2) * scale
    return output.to(result), state if output_final_state else None


def chunk_rwkv7(  # noqa: PLR0913 - the signature of fla-core
    r: Tensor,
    w: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    scale: float = 1.0,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    chunk_size: int = CHUNK_SIZE,
) -> Result:
    """Apply the generalised delta rule of RWKV-7, chunk by chunk.

    r, w, k, a, b are [B, T, H, K], v [B, T, H, V], states [B, H, K, V]; w is the log decay, at
    most 0, and any decay is safe, -inf too. Returns the output [B, T, H, V] and the final state, or
    None unless asked for. Chunks have the largest power of two up to `chunk_size`.

    Raises:
        ValueError: an argument has the wrong shape or device, T is 0, or chunk_size is below 1.
    """
    _expect(r, w, k, v, a, b, initial_state)
    fast = kernel("chunk_rwkv7", r)
    if fast is not None:
        return fast(r, w, k, v, a, b, scale, initial_state, output_final_state)
    cut = Cut.of(r, chunk_size, power_of_two=True)
    if r.shape[1] == 1:
        return naive_recurrent_rwkv7(r, w, k, v, a, b, scale, initial_state, output_final_state)
    dtype, result = working_dtype(r), r.dtype
    r, w, k, v, a, b = (cut.split(x.to(dtype)) for x in (r, w, k, v, a, b))
    decay = ChannelDecay.of(w)
    # What a token reads before its own decay is what the token before it would read after.
    rows = torch.stack([r, F.pad(a[:, 1:], (0, 0, 0, 1))], dim=2)
    products = products_within(rows, torch.stack([b, k], dim=2), decay.total)
    scores, system = products.unbind(2)
    of_b, of_k = F.pad(system[:, :-1], (0, 0, 0, 0, 1, 0)).unbind(-1)
    inverse = invert_unit_lower(-of_b)
    before_token = F.pad(decay.since_start[:, :-1], (0, 0, 1, 0), value=1.0)
    steps = Steps(
        values=inverse @ (of_k @ v),
        reads=inverse @ (a * -before_token),
        keys=b * decay.to_end,
        whole=decay.whole,
        added=(k * decay.to_end).mT @ v,
    )
    before, reads, state = carry(cut, steps, initial_state)
    written = torch.stack([reads, v], dim=2).flatten(1, 2)
    output = torch.baddbmm((r * decay.since_start) @ before, scores.flatten(2), written)
    return cut.join(output * scale).to(result), cut.finish(state) if output_final_state else None


def _expect(  # noqa: PLR0913 - the arguments of the rule
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor | None
) -> None:
    expect_sequence("r", r, "[B, T, H, K]")
    expect_heads(r, k, v, {}, state, {"w": w, "a": a, "b": b})
