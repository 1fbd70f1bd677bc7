r"""The delta rule and its gated form, as recurrences and in chunkwise form.

With a state S [K, V] for each head, write strength beta and log decay g (zero in the plain rule)::

    S_t = exp(g_t) S_{t-1} + beta_t k_t (v_t - exp(g_t) S_{t-1}^T k_t)^T
    o_t = scale * S_t^T q_t

A token first reads what the decayed state holds under its key, then replaces the fraction beta of
it by its value: one step of online regression of v on k. Sources: parallel form over the length,
arXiv 2406.06484, section 3; gated rule, arXiv 2412.06464, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from move37.arch_templates.ops.backend import kernel
from move37.arch_templates.ops.chunks import (
    CHUNK_SIZE,
    Cut,
    Decay,
    Steps,
    carry,
    invert_unit_lower,
    times,
    working_dtype,
)
from move37.arch_templates.ops.shapes import expect_heads

Result = tuple[Tensor, Tensor | None]


def naive_recurrent_delta_rule(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
) -> Result:
    """Apply the delta rule token by token: its definition. Shapes as in `chunk_delta_rule`."""
    expect_heads(q, k, v, {"beta": beta}, initial_state)
    return token_by_token(q, k, v, None, beta, scale, initial_state, output_final_state)


def naive_recurrent_gated_delta_rule(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
) -> Result:
    """Apply the gated rule token by token. Arguments as in `chunk_gated_delta_rule`."""
    expect_heads(q, k, v, {"g": g, "beta": beta}, initial_state)
    return token_by_token(q, k, v, g, beta, scale, initial_state, output_final_state)


def chunk_delta_rule(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    chunk_size: int = CHUNK_SIZE,
) -> Result:
    """Apply the delta rule, chunk by chunk.

    q, k are [B, T, H, K], v [B, T, H, V], beta [B, T, H], states [B, H, K, V]; scale is K**-0.5
    unless given. Returns the output [B, T, H, V] and the final state, or None unless asked for.
    Keys should be normalised: with beta |k|^2 > 2 the rule itself diverges.

    Raises:
        ValueError: an argument has the wrong shape or device, T is 0, or chunk_size is below 1.
    """
    expect_heads(q, k, v, {"beta": beta}, initial_state)
    fast = kernel("chunk_delta_rule", q)
    if fast is not None:
        return fast(q, k, v, beta, scale, initial_state, output_final_state)
    return chunk_by_chunk(q, k, v, None, beta, scale, initial_state, output_final_state, chunk_size)


def chunk_gated_delta_rule(  # noqa: PLR0913 - the signature of fla-core
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
    """Apply the gated delta rule, chunk by chunk; g [B, T, H] is the log decay, at most 0.

    Everything else is as in `chunk_delta_rule`.
    """
    expect_heads(q, k, v, {"g": g, "beta": beta}, initial_state)
    fast = kernel("chunk_gated_delta_rule", q)
    if fast is not None:
        return fast(q, k, v, g, beta, scale, initial_state, output_final_state)
    return chunk_by_chunk(q, k, v, g, beta, scale, initial_state, output_final_state, chunk_size)


def token_by_token(  # noqa: PLR0913 - the arguments of the rule
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    scale: float | None,
    state: Tensor | None,
    output_final_state: bool,
    steps: int = 1,
) -> Result:
    """Run the rule as it is written, with `steps` keys, values and betas for each token."""
    batch, length, heads, key_dim = q.shape
    dtype, result = working_dtype(q), q.dtype
    q, k, v, beta = (x.to(dtype) for x in (q, k, v, beta))
    if state is None:
        state = q.new_zeros(batch, heads, key_dim, v.shape[-1])
    state = state.to(dtype)
    q = q * (key_dim**-0.5 if scale is None else scale)
    outputs = []
    for t in range(length):
        if g is not None:
            state = state * g[:, t, :, None, None].to(dtype).exp()
        for step in range(t * steps, (t + 1) * steps):
            key = k[:, step, :, :, None]
            error = v[:, step, :, None, :] - key.mT @ state
            state = state + key * (error * beta[:, step, :, None, None])
        outputs.append(q[:, t, :, None, :] @ state)
    output = torch.cat(outputs, dim=2).transpose(1, 2).to(result)
    return output, state if output_final_state else None


def chunk_by_chunk(  # noqa: PLR0913 - the arguments of the rule
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    scale: float | None,
    initial_state: Tensor | None,
    output_final_state: bool,
    chunk_size: int,
    steps: int = 1,
) -> Result:
    """Solve each chunk for what its tokens write, all at once; only the state is carried on.

    Inside a chunk the writes x_i = beta_i (v_i - decayed S^T k_i) depend on those before them:
    (I + A) x = beta v - (beta k, decayed) S_0 with A_ij = beta_i decay_ij k_i.k_j for j < i. The
    inverse of I + A does not depend on the state S_0 before the chunk, so one batched solve serves
    all chunks (the UT transform), and two products a chunk are left to be done in order.

    With several steps a token, k, v and beta have T * steps rows, g those of the tokens: a token
    decays the state before its first step and reads it after its last.
    """
    cut = Cut.of(q, chunk_size)
    if q.shape[1] == 1:
        return token_by_token(q, k, v, g, beta, scale, initial_state, output_final_state, steps)
    dtype, result = working_dtype(q), q.dtype
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    q, k, v, beta = (x.to(dtype) for x in (q, k, v, beta[..., None]))
    if g is not None and steps > 1:
        g = torch.stack([g] + [torch.zeros_like(g)] * (steps - 1), dim=2).flatten(1, 2)
    decay = Decay.of(cut, None if g is None else g.to(dtype), q, steps)
    read = decay.at_last(steps)
    q, k, v, beta = cut.split(q), cut.split(k, steps), cut.split(v, steps), cut.split(beta, steps)
    inverse = invert_unit_lower(times(k @ k.mT, decay.pairs) * beta) * beta.mT
    chunk_steps = Steps(
        values=inverse @ v,
        reads=(inverse if decay.since_start is None else inverse * decay.since_start.mT) @ k,
        keys=times(k, decay.to_end),
        whole=decay.whole,
    )
    before, writes, state = carry(cut, chunk_steps, initial_state)
    scores = times(q @ k.mT, read.pairs) * (read.causal * scale)
    seen = q * (scale if read.since_start is None else read.since_start * scale)
    output = torch.baddbmm(seen @ before, scores, writes)
    return cut.join(output).to(result), cut.finish(state) if output_final_state else None
