r"""State-space duality, the recurrence of Mamba-2, token by token and in chunkwise form.

With a state S [P, N] for each head, step dt and rate A < 0 (in the words of attention C is the
query, B the key, dt x the value, dt A the log decay)::

    S_t = exp(dt_t A) S_{t-1} + dt_t x_t B_t^T
    y_t = S_t C_t + D x_t

Source: arXiv 2405.21060, sections 6 and 7. Names and order of the arguments are those of
`mamba_chunk_scan_combined`; the return value is always a pair, as it is of the other ops here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from move37.arch_templates.ops.chunks import CHUNK_SIZE, LOWEST_LOG_DECAY, Cut, working_dtype
from move37.arch_templates.ops.shapes import expect_one_device, expect_sequence, expect_shape

Result = tuple[Tensor, Tensor | None]
NO_LIMIT = (0.0, float("inf"))


def naive_recurrent_ssd(  # noqa: PLR0913 - the signature of mamba_chunk_scan_combined
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    initial_states: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = NO_LIMIT,
    return_final_states: bool = False,
) -> Result:
    """Apply the recurrence token by token: its definition. All is as in `chunk_ssd`."""
    _expect(x, dt, A, B, C, D, z, dt_bias, initial_states)
    dt = _step(dt, dt_bias, dt_softplus, dt_limit)
    values, g, B, C = _in_working_dtype(x, x * dt[..., None], dt * A, B, C)
    y, state = _recurrence(values, g, B, C, initial_states)
    return _skip_and_gate(y, x, D, z), state if return_final_states else None


def chunk_ssd(  # noqa: PLR0913 - the signature of mamba_chunk_scan_combined
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    chunk_size: int = CHUNK_SIZE,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    initial_states: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = NO_LIMIT,
    return_final_states: bool = False,
) -> Result:
    """Apply the recurrence of Mamba-2, chunk by chunk.

    x is [B, T, H, P], dt [B, T, H], A [H] below zero, B and C [B, T, G, N] with H a multiple of the
    number of groups G, D [H] or [H, P], z [B, T, H, P] a gate: the output is multiplied by silu(z),
    dt_bias [H], states [B, H, P, N]. The step is dt + dt_bias, through a softplus if asked for, and
    kept within dt_limit. Returns the output [B, T, H, P] and the final states or None.

    Raises:
        ValueError: an argument has the wrong shape or device, T is 0, or chunk_size is below 1.
    """
    _expect(x, dt, A, B, C, D, z, dt_bias, initial_states)
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}, expected at least 1")
    dt = _step(dt, dt_bias, dt_softplus, dt_limit)
    values, g, B, C = _in_working_dtype(x, x * dt[..., None], dt * A, B, C)
    if x.shape[1] == 1:
        y, state = _recurrence(values, g, B, C, initial_states)
    else:
        layout = _Layout(Cut.of(C, chunk_size), Cut.of(x, chunk_size), x.shape[3])
        y, state = _chunkwise(layout, values, g, B, C, initial_states)
    return _skip_and_gate(y, x, D, z), state if return_final_states else None


def _recurrence(
    values: Tensor, g: Tensor, B: Tensor, C: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the output [B, T, H, P] for values of that shape, and the last state [B, H, P, N]."""
    batch, length, heads, dim = values.shape
    B, C = (m.repeat_interleave(heads // m.shape[2], dim=2) for m in (B, C))
    if state is None:
        state = values.new_zeros(batch, heads, dim, B.shape[-1])
    state = state.to(values.dtype)
    outputs = []
    for t in range(length):
        write = values[:, t, :, :, None] * B[:, t, :, None]
        state = state * g[:, t, :, None, None].exp() + write
        outputs.append(state @ C[:, t, :, :, None])
    return torch.stack(outputs, dim=1).squeeze(-1), state


class _Layout(NamedTuple):
    """Two ways to lay out heads: each by itself, or those of a group in one matrix.

    By itself a head is [N*B*H, c, P]. The R heads of a group, which share B and C, stand side by
    side in [N*B*G, c, R*P].
    """

    groups: Cut
    heads: Cut
    dim: int

    def wide(self, x: Tensor) -> Tensor:
        """Turn [B, T, H, P] into [N*B*G, c, R*P]."""
        return self.groups.split(x.reshape(*x.shape[:2], self.groups.heads, -1))

    def each(self, factor: Tensor) -> Tensor:
        """Turn a factor for each head [..., R] into one for each column [..., R*P]."""
        return factor.repeat_interleave(self.dim, dim=-1)

    def start(self, states: Tensor | None, like: Tensor) -> Tensor:
        """Turn states [B, H, P, N] into [B*G, N, R*P], as `like` ends, or begin with zeros."""
        if states is None:
            return self.groups.start(None, like)
        return states.to(like.dtype).reshape(-1, like.shape[-1], like.shape[-2]).mT

    def finish(self, state: Tensor) -> Tensor:
        """Turn [B*G, N, R*P] into [B, H, P, N]."""
        return state.mT.reshape(self.heads.batch, self.heads.heads, self.dim, -1)


def _chunkwise(
    layout: _Layout, values: Tensor, g: Tensor, B: Tensor, C: Tensor, states: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The same, chunk by chunk.

    Decays differ between the heads of a group while B and C do not; so the decays go to the values
    and outputs, and one product of B or C serves all heads of a group.
    """
    cut = layout.groups
    keys, queries = cut.split(B), cut.split(C)
    total = layout.wide(g.clamp(min=LOWEST_LOG_DECAY)[..., None]).cumsum(1)
    last = total[:, -1:]
    causal = torch.ones(cut.size, cut.size, dtype=g.dtype, device=g.device).tril_()
    by_head = total.mT
    # Masked before exp, or above the diagonal it may be inf, of which a mask would make nan.
    pairs = ((by_head[..., None] - by_head[..., None, :]) * causal).exp()
    scores = pairs * (queries @ keys.mT * causal)[:, None]
    near = layout.heads.join(scores.flatten(0, 1) @ layout.heads.split(values))
    added = keys.mT @ (layout.wide(values) * layout.each((last - total).exp()))
    if cut.chunks == 1 and states is None:
        return near, layout.finish(added)
    before, state = _scan(layout, layout.each(last.exp()), added, states)
    far = cut.join((queries @ before) * layout.each(total.exp()))
    return near + far.reshape(near.shape), layout.finish(state)


def _scan(
    layout: _Layout, whole: Tensor, added: Tensor, states: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run S' = whole S + added over the chunks; return S before each chunk, and the last S'."""
    state = layout.start(states, added)
    before = []
    cut = layout.groups
    for keep, add in zip(cut.by_chunk(whole), cut.by_chunk(added), strict=True):
        before.append(state)
        state = torch.addcmul(add, state, keep)
    return torch.cat(before), state


def _step(dt: Tensor, bias: Tensor | None, softplus: bool, limit: tuple[float, float]) -> Tensor:
    """Return the step that the recurrence takes, [B, T, H]."""
    if bias is not None:
        dt = dt + bias
    if softplus:
        dt = F.softplus(dt)
    return dt.clamp(*limit)


def _in_working_dtype(x: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
    return tuple(part.to(working_dtype(x)) for part in parts)


def _skip_and_gate(y: Tensor, x: Tensor, D: Tensor | None, z: Tensor | None) -> Tensor:
    """Return the output in the dtype of x."""
    if D is not None:
        y = y + x * (D[:, None] if D.dim() == 1 else D)
    return (y if z is None else y * F.silu(z)).to(x.dtype)


def _expect(  # noqa: PLR0913 - the arguments of the op
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    states: Tensor | None,
) -> None:
    expect_sequence("x", x, "[B, T, H, P]")
    batch, length, heads, dim = x.shape
    expect_shape("dt", dt, (batch, length, heads), "[B, T, H]")
    expect_shape("A", A, (heads,), "[H]")
    expect_sequence("B", B, "[B, T, G, N]")
    groups, size = B.shape[2:]
    if groups < 1 or heads % groups:
        raise ValueError(
            f"B has shape {list(B.shape)}, expected [B, T, G, N] with G a divisor of H = {heads}"
        )
    for name, tensor in (("B", B), ("C", C)):
        expect_shape(name, tensor, (batch, length, groups, size), "[B, T, G, N]")
    if D is not None and D.dim() != 1:
        expect_shape("D", D, (heads, dim), "[H, P]")
    elif D is not None:
        expect_shape("D", D, (heads,), "[H]")
    optional = (
        ("z", z, (batch, length, heads, dim), "[B, T, H, P]"),
        ("dt_bias", dt_bias, (heads,), "[H]"),
        ("initial_states", states, (batch, heads, dim, size), "[B, H, P, N]"),
    )
    for name, given, shape, words in optional:
        if given is not None:
            expect_shape(name, given, shape, words)
    tensors = {"x": x, "dt": dt, "A": A, "B": B, "C": C, "D": D}
    expect_one_device(tensors | {name: given for name, given, _, _ in optional})
