r"""DeltaProduct: several delta steps for each token, so that a transition can be any rotation.

With n = num_householder steps of keys k_tj, values v_tj and write strengths beta_tj, and log
decay g_t (zero in the plain rule)::

    S_t0 = exp(g_t) S_{t-1}
    S_tj = S_t(j-1) + beta_tj k_tj (v_tj - S_t(j-1)^T k_tj)^T        j = 1 ... n
    o_t = scale * S_tn^T q_t

A product of n generalised Householder matrices, each (I - beta k k^T), has n eigenvalues that are
not one; with beta up to 2 it can permute and rotate. Source: arXiv 2502.10297, section 4.
"""

from __future__ import annotations

from torch import Tensor

from move37.arch_templates.ops.backend import kernel
from move37.arch_templates.ops.chunks import CHUNK_SIZE
from move37.arch_templates.ops.delta_rule import chunk_by_chunk, token_by_token
from move37.arch_templates.ops.shapes import expect_one_device, expect_sequence, expect_shape

Result = tuple[Tensor, Tensor | None]


def naive_recurrent_gated_delta_product(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    num_householder: int,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
) -> Result:
    """Apply the rule step by step: its definition. As in `chunk_gated_delta_product`.

    The order of the arguments is that of the chunkwise form, here as in fla-core's chunk form.
    """
    _expect(q, k, v, g, beta, num_householder, initial_state)
    return token_by_token(
        q, k, v, g, beta, scale, initial_state, output_final_state, num_householder
    )


def chunk_gated_delta_product(  # noqa: PLR0913 - the signature of fla-core
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    num_householder: int,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    chunk_size: int = CHUNK_SIZE,
) -> Result:
    """Apply n = num_householder delta steps a token, in chunks of about `chunk_size` steps.

    q is [B, T, H, K], g [B, T, H] or None; k [B, T * n, H, K], v [B, T * n, H, V] and
    beta [B, T * n, H] hold the steps of a token one after the other. States are [B, H, K, V]; scale
    is K**-0.5 unless given. Returns the output [B, T, H, V] and the final state, or None unless
    asked for.

    Raises:
        ValueError: an argument has the wrong shape or device, T is 0, or chunk_size or
            num_householder is below 1.
    """
    _expect(q, k, v, g, beta, num_householder, initial_state)
    fast = kernel("chunk_gated_delta_product", q)
    if fast is not None:
        return fast(q, k, v, g, beta, num_householder, scale, initial_state, output_final_state)
    # The triangular system grows with the steps in a chunk, so these are what is held near the
    # chunk size.
    tokens = max(chunk_size // num_householder, min(chunk_size, 1))
    return chunk_by_chunk(
        q, k, v, g, beta, scale, initial_state, output_final_state, tokens, num_householder
    )


def _expect(  # noqa: PLR0913 - the arguments of the rule
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    num_householder: int,
    state: Tensor | None,
) -> None:
    if num_householder < 1:
        raise ValueError(f"num_householder is {num_householder}, expected at least 1")
    expect_sequence("q", q, "[B, T, H, K]")
    expect_sequence("v", v, "[B, T * n, H, V]")
    batch, length, heads, key_dim = q.shape
    steps, value_dim = length * num_householder, v.shape[-1]
    expect_shape("k", k, (batch, steps, heads, key_dim), "[B, T * n, H, K]")
    expect_shape("v", v, (batch, steps, heads, value_dim), "[B, T * n, H, V]")
    expect_shape("beta", beta, (batch, steps, heads), "[B, T * n, H]")
    if g is not None:
        expect_shape("g", g, (batch, length, heads), "[B, T, H]")
    if state is not None:
        expect_shape("initial_state", state, (batch, heads, key_dim, value_dim), "[B, H, K, V]")
    expect_one_device({"q": q, "k": k, "v": v, "g": g, "beta": beta, "initial_state": state})
