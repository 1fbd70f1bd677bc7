"""Products of rows and columns inside a chunk where every channel decays by itself.

What token i reads of token j <= i is sum_c x_ic y_jc exp(G_ic - G_jc), with G the running sums of
the log decays. As one matrix product it would need exp(-G_jc), which overflows for strong decays.

So a chunk is halved: what its late half reads of the early one has decayed from j to the middle and
from the middle to i, two factors of at most one, and one product serves all such pairs. The halves
go the same way, until single tokens are left.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx

from move37.arch_templates.ops.chunks import LOWEST_LOG_DECAY


class ChannelDecay(NamedTuple):
    """Running sums of log decays inside each of M chunks, and the factors that follow.

    `total` [M, C, K] are the sums, each with the token's own decay, in float64: beside a strong
    decay a weak one would lose its digits. All factors are at most one: `since_start` [M, C, K] is
    what a token sees of the state before the chunk, `to_end` [M, C, K] what the state after the
    chunk keeps of what a token wrote, and `whole` [M, K, 1] what it keeps of the state before.
    """

    total: Tensor
    since_start: Tensor
    to_end: Tensor
    whole: Tensor

    @classmethod
    def of(cls, g: Tensor) -> ChannelDecay:
        """Sum log decays g [M, C, K]."""
        total = g.clamp(min=LOWEST_LOG_DECAY).cumsum(1, dtype=torch.float64)
        since_start = total.to(g.dtype).exp()
        to_end = (total[:, -1:] - total).to(g.dtype).exp()
        return cls(total, since_start, to_end, since_start[:, -1:].mT)


def products_within(rows: Tensor, columns: Tensor, total: Tensor) -> Tensor:
    """Multiply rows [M, C, R, K] with columns [M, C, S, K] under decay; C is a power of two.

    Returns [M, C, R, C, S]: the product of each row of token i with each column of token j, decayed
    from j to i, and zero for j > i.
    """
    return cast("Tensor", _ProductsWithin.apply(rows, columns, total))  # type: ignore[no-untyped-call]


class _ProductsWithin(torch.autograd.Function):
    """The products with their gradient, which is had without that of any factor.

    A product depends on the decay through exp(G_i - G_j) only, so that the gradient in G at a token
    is that of its rows times the rows, less that of its columns times the columns (GLA, appendix).
    """

    @staticmethod
    def forward(rows: Tensor, columns: Tensor, total: Tensor) -> Tensor:
        chunks, size, kinds, _ = rows.shape
        products = rows.new_zeros(chunks, size, kinds, size, columns.shape[2])
        _single_tokens(products).copy_((rows[:, :, :, None] * columns[:, :, None]).sum(-1))
        for half in _halvings(size):
            late_rows, early_columns, _, _ = _decayed(rows, columns, total, half)
            quarters = late_rows.flatten(2, 3) @ early_columns.flatten(2, 3).mT
            place = _quarters(products, half)
            place.copy_(quarters.view(place.shape))
        return products

    @staticmethod
    def setup_context(
        ctx: FunctionCtx,
        inputs: tuple[Tensor, Tensor, Tensor],
        output: Tensor,  # noqa: ARG004 - the signature of torch
    ) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        rows, columns, total = saved
        own = _single_tokens(grad)[..., None]
        grad_rows = (own * columns[:, :, None]).sum(3)
        grad_columns = (own * rows[:, :, :, None]).sum(2)
        for half in _halvings(rows.shape[1]):
            late_rows, early_columns, seen, kept = _decayed(rows, columns, total, half)
            quarters = _quarters(grad, half).flatten(4, 5).flatten(2, 3)
            late = _half(grad_rows, half, 1)
            late.addcmul_((quarters @ early_columns.flatten(2, 3)).view(late.shape), seen)
            early = _half(grad_columns, half, 0)
            early.addcmul_((quarters.mT @ late_rows.flatten(2, 3)).view(early.shape), kept)
        grad_total = (rows * grad_rows).sum(2) - (columns * grad_columns).sum(2)
        return grad_rows, grad_columns, grad_total.to(total.dtype)


def _halvings(size: int) -> list[int]:
    return [1 << level for level in range(size.bit_length() - 1)]


def _half(x: Tensor, half: int, which: int) -> Tensor:
    """Return the early (0) or late (1) halves [M, C / 2h, h, ...] of blocks of x [M, C, ...]."""
    return x.view(x.shape[0], -1, 2, half, *x.shape[2:])[:, :, which]


def _decayed(
    rows: Tensor, columns: Tensor, total: Tensor, half: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cut into blocks of twice `half`; return late rows and early columns as seen at the middle.

    With them the factors by which they were multiplied.
    """
    early, late = _half(total, half, 0), _half(total, half, 1)
    middle = early[:, :, -1:]
    seen = (late - middle).to(rows.dtype).exp_()[..., None, :]
    kept = (middle - early).to(rows.dtype).exp_()[..., None, :]
    return _half(rows, half, 1) * seen, _half(columns, half, 0) * kept, seen, kept


def _single_tokens(products: Tensor) -> Tensor:
    """Return the view [M, C, R, S] of products [M, C, R, C, S] that lies on the diagonal."""
    return products.diagonal(0, 1, 3).movedim(-1, 1)


def _quarters(products: Tensor, half: int) -> Tensor:
    """Return the view [M, C / 2h, h, R, h, S] of what late halves read of early ones."""
    chunks, size, kinds, _, width = products.shape
    blocks = size // half // 2
    cut = products.view(chunks, blocks, 2, half, kinds, blocks, 2, half, width)
    return cut[:, :, 1, :, :, :, 0].diagonal(0, 1, 4).movedim(-1, 1)
