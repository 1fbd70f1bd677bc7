r"""Linear attention: without decay, with a fixed one, with a scalar one from the data.

With a state S [K, V] for each head and log decay g (zero without decay)::

    S_t = exp(g_t) S_{t-1} + k_t v_t^T
    o_t = scale * S_t^T q_t

Sources: linear attention, arXiv 2006.16236; fixed decay (retention), arXiv 2307.08621;
data-dependent scalar decay, arXiv 2405.21060 (SSD); chunkwise form, arXiv 2312.06635, section 4.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from move37.arch_templates.ops.backend import kernel
from move37.arch_templates.ops.chunks import CHUNK_SIZE, Cut, Decay, times, working_dtype
from move37.arch_templates.ops.shapes import expect_heads, expect_one_device, expect_shape

Result = tuple[Tensor, Tensor | None]
# The memory S [B, H, K, V] and the sum of the keys so far [B, 1, H, K].
Normalized = tuple[Tensor, Tensor]

# What fla-core adds to the normaliser: enough to divide zero by, too small to be seen else.
TINY = 1e-10


def naive_recurrent_simple_gla(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    g_gamma: Tensor | None = None,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
) -> Result:
    """Apply decayed linear attention token by token. Shapes as in `chunk_simple_gla`."""
    expect_heads(q, k, v, {"g": g}, initial_state)
    batch, length, heads, key_dim = q.shape
    dtype, result = working_dtype(q), q.dtype
    q, k, v = (x.to(dtype) for x in (q, k, v))
    g = _log_decay(q, g, g_gamma)
    if initial_state is None:
        state = q.new_zeros(batch, heads, key_dim, v.shape[-1])
    else:
        state = initial_state.to(dtype)
    q = q * (key_dim**-0.5 if scale is None else scale)
    outputs = []
    for t in range(length):
        if g is not None:
            state = state * g[:, t, :, None, None].exp()
        state = state + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs.append(q[:, t, :, None, :] @ state)
    output = torch.cat(outputs, dim=2).transpose(1, 2).to(result)
    return output, state if output_final_state else None


def chunk_simple_gla(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    g_gamma: Tensor | None = None,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    chunk_size: int = CHUNK_SIZE,
) -> Result:
    """Apply linear attention, chunk by chunk, with scalar log decays or none.

    q, k are [B, T, H, K], v [B, T, H, V], states [B, H, K, V]; g [B, T, H] are log decays from
    the data, g_gamma [H] fixed ones, and both together add up; scale is K**-0.5 unless given.
    Returns the output [B, T, H, V] and the final state, or None unless asked for.

    Raises:
        ValueError: an argument has the wrong shape or device, T is 0, or chunk_size is below 1.
    """
    expect_heads(q, k, v, {"g": g}, initial_state)
    fast = kernel("chunk_simple_gla", q)
    if fast is not None:
        return fast(q, k, v, g, g_gamma, scale, initial_state, output_final_state)
    return _chunkwise(q, k, v, g, g_gamma, scale, initial_state, output_final_state, chunk_size)


def _chunkwise(  # noqa: PLR0913 - the arguments of the rule
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    g_gamma: Tensor | None,
    scale: float | None,
    initial_state: Tensor | None,
    output_final_state: bool,
    chunk_size: int,
) -> Result:
    """Scores inside each chunk, all at once; only the state is carried from chunk to chunk."""
    if q.shape[1] == 1:
        return naive_recurrent_simple_gla(
            q, k, v, g, g_gamma, scale, initial_state, output_final_state
        )
    dtype, result = working_dtype(q), q.dtype
    q, k, v = (x.to(dtype) for x in (q, k, v))
    cut = Cut.of(q, chunk_size)
    decay = Decay.of(cut, _log_decay(q, g, g_gamma), q)
    q = cut.split(q * (q.shape[-1] ** -0.5 if scale is None else scale))
    k, v = cut.split(k), cut.split(v)
    scores = times(q @ k.mT, decay.pairs) * decay.causal
    added = times(k, decay.to_end).mT @ v
    if cut.chunks == 1 and initial_state is None:
        output, state = scores @ v, added
    else:
        before, state = scan(cut, decay.whole, added, initial_state)
        output = torch.baddbmm(times(q, decay.since_start) @ before, scores, v)
    return cut.join(output).to(result), cut.finish(state) if output_final_state else None


def naive_recurrent_retention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
) -> Result:
    """Apply retention token by token. Everything is as in `chunk_retention`."""
    expect_heads(q, k, v, {}, initial_state)
    return naive_recurrent_simple_gla(
        q, k, v, None, retention_log_decay(q), scale, initial_state, output_final_state
    )


def chunk_retention(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    chunk_size: int = CHUNK_SIZE,
) -> Result:
    """Apply linear attention whose head h forgets the fraction 2^(-5 - h) at every token.

    Source: arXiv 2307.08621, equation 8. Everything else is as in `chunk_simple_gla`; for other
    fixed decays give that one a g_gamma.
    """
    expect_heads(q, k, v, {}, initial_state)
    fast = kernel("chunk_retention", q)
    if fast is not None:
        return fast(q, k, v, scale, initial_state, output_final_state)
    gamma = retention_log_decay(q)
    return _chunkwise(q, k, v, None, gamma, scale, initial_state, output_final_state, chunk_size)


def retention_log_decay(q: Tensor) -> Tensor:
    """Return the log decays [H] of retention: log(1 - 2^(-5 - h)) for head h of q [B, T, H, K]."""
    heads = torch.arange(q.shape[2], dtype=working_dtype(q), device=q.device)
    return torch.log1p(-torch.exp2(-5 - heads))


def naive_recurrent_linear_attn(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    initial_state: Tensor | Normalized | None = None,
    output_final_state: bool = False,
    normalize: bool = True,
) -> tuple[Tensor, Tensor | Normalized | None]:
    """Apply linear attention token by token. Shapes as in `chunk_linear_attn`."""
    memory, keys = _halves(initial_state, normalize)
    expect_heads(q, k, v, {}, memory)
    if keys is not None:
        _expect_keys(keys, q)
    dtype, result = working_dtype(q), q.dtype
    q, k, v = (x.to(dtype) for x in (q, k, v))
    output, memory = naive_recurrent_simple_gla(
        q, k, v, None, None, scale, memory, output_final_state
    )
    if not normalize:
        return output.to(result), memory
    keys = k.cumsum(1) if keys is None else k.cumsum(1) + keys
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    output = output / ((scale * q * keys).sum(-1, keepdim=True) + TINY)
    return output.to(result), None if memory is None else (memory, keys[:, -1:])


def chunk_linear_attn(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    initial_state: Tensor | Normalized | None = None,
    output_final_state: bool = False,
    normalize: bool = True,
    chunk_size: int = CHUNK_SIZE,
) -> tuple[Tensor, Tensor | Normalized | None]:
    """Apply linear attention, chunk by chunk; normalised, the output is a mean of the values.

    The mean is weighted by q_t.k_s, so features should not be negative: see `feature_maps`.
    Normalised, the state is a pair: the memory [B, H, K, V] and the sum of the keys [B, 1, H, K];
    otherwise it is the memory alone. Everything else is as in `chunk_simple_gla`.

    Raises:
        ValueError: an argument has the wrong shape or device, T is 0, or chunk_size is below 1.
    """
    memory, keys = _halves(initial_state, normalize)
    expect_heads(q, k, v, {}, memory)
    if keys is not None:
        _expect_keys(keys, q)
    fast = kernel("chunk_linear_attn", q)
    if fast is not None:
        output, state = fast(q, k, v, scale, initial_state, output_final_state, normalize)
        return output, state if output_final_state else None
    if not normalize:
        return _chunkwise(q, k, v, None, None, scale, memory, output_final_state, chunk_size)
    return _normalized(q, k, v, scale, memory, keys, output_final_state, chunk_size)


def _normalized(  # noqa: PLR0913 - the arguments of the rule
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None,
    memory: Tensor | None,
    keys: Tensor | None,
    output_final_state: bool,
    chunk_size: int,
) -> tuple[Tensor, Normalized | None]:
    """Get the normaliser in the same pass, as one more column of values that are all one."""
    if memory is not None and keys is not None:
        memory = torch.cat([memory, keys.permute(0, 2, 3, 1)], dim=-1)
    counted = F.pad(v.to(working_dtype(v)), (0, 1), value=1.0)
    output, memory = _chunkwise(
        q.to(counted.dtype), k, counted, None, None, scale, memory, output_final_state, chunk_size
    )
    output = (output[..., :-1] / (output[..., -1:] + TINY)).to(v.dtype)
    if memory is None:
        return output, None
    return output, (memory[..., :-1], memory[..., -1:].permute(0, 3, 1, 2))


def _log_decay(q: Tensor, g: Tensor | None, g_gamma: Tensor | None) -> Tensor | None:
    """Return the log decay [B, T, H] of g, of g_gamma [H], of both, or None of neither."""
    if g_gamma is not None:
        expect_shape("g_gamma", g_gamma, (q.shape[2],), "[H]")
        expect_one_device({"q": q, "g_gamma": g_gamma})
        g = g_gamma.expand(q.shape[:3]) if g is None else g + g_gamma
    return None if g is None else g.to(working_dtype(q))


def _halves(
    state: Tensor | Normalized | None, normalize: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Return the memory and the sum of the keys that a state holds."""
    if state is None:
        return None, None
    if isinstance(state, Tensor) == normalize:
        expected = "a pair (memory, keys)" if normalize else "one tensor"
        found = type(state).__name__
        raise ValueError(
            f"initial_state is a {found}, expected {expected} as normalize is {normalize}"
        )
    return (state, None) if isinstance(state, Tensor) else state


def _expect_keys(keys: Tensor, q: Tensor) -> None:
    batch, _, heads, key_dim = q.shape
    expect_shape("initial_state[1]", keys, (batch, 1, heads, key_dim), "[B, 1, H, K]")
    expect_one_device({"q": q, "initial_state[1]": keys})


def scan(
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
