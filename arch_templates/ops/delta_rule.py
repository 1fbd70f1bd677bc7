r"""The delta rule and its gated form, as recurrences and in chunkwise form.

With a state S [K, V] for each head, write strength beta and log decay g (zero in the plain rule)::

    S_t = exp(g_t) S_{t-1} + beta_t k_t (v_t - exp(g_t) S_{t-1}^T k_t)^T
    o_t = scale * S_t^T q_t

A token first reads what the decayed state holds under its key, then replaces the fraction beta of
it by its value: one step of online regression of v on k. Sources: parallel form over the length,
arXiv 2406.06484, section 3; gated rule, arXiv 2412.06464, section 3.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx

from move37.arch_templates.ops.chunks import CHUNK_SIZE, Cut, Decay, times
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
    return _recurrence(q, k, v, None, beta, scale, initial_state, output_final_state)


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
    """Apply the gated rule token by token. Shapes as in `chunk_gated_delta_rule`."""
    expect_heads(q, k, v, {"g": g, "beta": beta}, initial_state)
    return _recurrence(q, k, v, g, beta, scale, initial_state, output_final_state)


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
        ValueError: an argument has the wrong shape, T is 0, or chunk_size is below 1.
    """
    expect_heads(q, k, v, {"beta": beta}, initial_state)
    return _chunkwise(q, k, v, None, beta, scale, initial_state, output_final_state, chunk_size)


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
    return _chunkwise(q, k, v, g, beta, scale, initial_state, output_final_state, chunk_size)


def _recurrence(  # noqa: PLR0913 - the arguments of the rule
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    scale: float | None,
    state: Tensor | None,
    output_final_state: bool,
) -> Result:
    batch, length, heads, key_dim = q.shape
    if state is None:
        state = q.new_zeros(batch, heads, key_dim, v.shape[-1])
    q = q * (key_dim**-0.5 if scale is None else scale)
    outputs = []
    for t in range(length):
        if g is not None:
            state = state * g[:, t, :, None, None].exp()
        key = k[:, t, :, :, None]
        error = v[:, t, :, None, :] - key.mT @ state
        state = state + key * (error * beta[:, t, :, None, None])
        outputs.append(q[:, t, :, None, :] @ state)
    return torch.cat(outputs, dim=2).transpose(1, 2), state if output_final_state else None


def _chunkwise(  # noqa: PLR0913 - the arguments of the rule
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    scale: float | None,
    initial_state: Tensor | None,
    output_final_state: bool,
    chunk_size: int,
) -> Result:
    """Solve each chunk for what its tokens write, all at once; only the state is carried on.

    Inside a chunk the errors u_i = beta_i (v_i - decayed S^T k_i) depend on those before them:
    (I + A) u = beta v - (beta k, decayed) S_0 with A_ij = beta_i decay_ij k_i.k_j for j < i. The
    two right-hand sides do not depend on the state S_0 before the chunk, so one triangular solve
    serves all chunks (the UT transform), and the step from chunk to chunk is linear in the state.
    """
    if q.shape[1] == 1:
        return _recurrence(q, k, v, g, beta, scale, initial_state, output_final_state)
    cut = Cut.of(q, chunk_size)
    decay = Decay.of(cut, g, q)
    q = cut.split(q * (q.shape[-1] ** -0.5 if scale is None else scale))
    k, v, beta = cut.split(k), cut.split(v), cut.split(beta[..., None])
    key_beta = k * beta
    system = times(key_beta @ k.mT, decay.pairs)
    scores = times(q @ k.mT, decay.pairs) * decay.causal
    keys_to_end = times(k, decay.to_end).mT
    if cut.chunks == 1 and initial_state is None:
        writes = _solve_unit_lower(system, v * beta)
        output, state = scores @ writes, keys_to_end @ writes
    else:
        reads = times(key_beta, decay.since_start)
        solved = _solve_unit_lower(system, torch.cat([v * beta, reads], dim=-1))
        values, reads = torch.tensor_split(solved, (v.shape[-1],), dim=-1)
        eye = torch.eye(k.shape[-1], dtype=k.dtype, device=k.device)
        kept = times(eye, decay.whole) - keys_to_end @ reads
        before, state = _scan(cut, kept, keys_to_end @ values, initial_state)
        writes = torch.baddbmm(values, reads, before, alpha=-1)
        output = torch.baddbmm(times(q, decay.since_start) @ before, scores, writes)
    return cut.join(output), cut.finish(state) if output_final_state else None


def _scan(
    cut: Cut, kept: Tensor, added: Tensor, initial_state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run S' = kept S + added over the chunks; return S before each chunk, and the last S'."""
    state = cut.start(initial_state, added)
    before = []
    for keep, add in zip(cut.by_chunk(kept), cut.by_chunk(added), strict=True):
        before.append(state)
        state = torch.baddbmm(add, keep, state)
    return torch.cat(before), state


def _solve_unit_lower(system: Tensor, right: Tensor) -> Tensor:
    """Solve (I + strict lower triangle of `system`) x = `right`, [..., C, C] and [..., C, D]."""
    return cast("Tensor", _UnitLowerSolve.apply(system, right))  # type: ignore[no-untyped-call]


class _UnitLowerSolve(torch.autograd.Function):
    """The triangular solve with its gradient.

    The same as torch.linalg.solve_triangular, but faster for many small systems: posed from the
    right on transposed views, LAPACK needs no copy of the operands, and the gradient is masked by
    a product, which on a CPU takes a quarter of the time of tril.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(system: Tensor, right: Tensor) -> Tensor:
        return _solve_from_right(system.mT, right.mT, upper=True)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor, Tensor]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        system, solution = saved
        grad_right = _solve_from_right(system, grad.mT, upper=False)
        size = system.shape[-1]
        strict = system.new_ones(size, size).tril_(-1).neg_()
        return grad_right @ solution.mT * strict, grad_right


def _solve_from_right(system: Tensor, right: Tensor, upper: bool) -> Tensor:
    solution: Tensor = torch.linalg.solve_triangular(
        system, right, upper=upper, left=False, unitriangular=True
    )
    return solution.mT
