"""What the chunkwise forms share: cutting a sequence, decay within a chunk, state between chunks.

A chunkwise form treats the tokens of a chunk in parallel, by matrix products, and carries a state
from chunk to chunk (GLA, arXiv 2312.06635, section 4). Tensors inside are laid out as
[N * B * H, C, D]: N chunks of C tokens, chunks outermost, so that one batched product serves all.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx

# exp(-100) is zero to every precision that is used here. Without the bound a log decay of -inf
# would give inf - inf, and a very negative one would eat the digits of the cumulative sum.
LOWEST_LOG_DECAY = -100.0

# The best of 16 to 128 on one CPU thread, for heads of 24 to 64 and T from 128 to 8192: work inside
# a chunk grows with its size, the launches that carry the state grow with the number of chunks.
CHUNK_SIZE = 32


def working_dtype(q: Tensor) -> torch.dtype:
    """Return float32 for inputs of half precision, else their own dtype.

    Products of many decays need the digits. The state is kept in this dtype, as in fla-core.
    """
    return torch.promote_types(q.dtype, torch.float32)


class Cut(NamedTuple):
    """How [B, T, H, ...] is cut into `chunks` chunks of `size` tokens."""

    batch: int
    length: int
    heads: int
    chunks: int
    size: int

    @classmethod
    def of(cls, q: Tensor, chunk_size: int, power_of_two: bool = False) -> Cut:
        """Cut q [B, T, H, K] evenly into chunks of at most `chunk_size`, with little padding.

        With `power_of_two` the size is one: a chunk can then be halved down to its tokens.
        """
        if chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}, expected at least 1")
        batch, length, heads, _ = q.shape
        if power_of_two:
            size = min(_power_of_two_below(chunk_size), _power_of_two_below(2 * length - 1))
        else:
            size = _even_size(length, chunk_size)
        return cls(batch, length, heads, -(-length // size), size)

    def split(self, x: Tensor, steps: int = 1) -> Tensor:
        """Turn [B, T * steps, H, D] into [N * B * H, C * steps, D].

        Zeros pad the end: a token of zeros changes no state.
        """
        padding = (self.chunks * self.size - self.length) * steps
        if padding:
            x = F.pad(x, (0, 0, 0, 0, 0, padding))
        x = x.reshape(self.batch, self.chunks, self.size * steps, self.heads, x.shape[-1])
        return x.permute(1, 0, 3, 2, 4).flatten(0, 2).contiguous()

    def join(self, x: Tensor) -> Tensor:
        """Turn [N * B * H, C, D] into [B, T, H, D]."""
        x = x.view(self.chunks, self.batch, self.heads, self.size, -1)
        return x.permute(1, 0, 3, 2, 4).flatten(1, 2)[:, : self.length]

    def by_chunk(self, x: Tensor) -> tuple[Tensor, ...]:
        """Turn [N * B * H, ...] into N tensors of shape [B * H, ...]."""
        return x.view(self.chunks, -1, *x.shape[1:]).unbind()

    def start(self, state: Tensor | None, like: Tensor) -> Tensor:
        """Return the state [B * H, K, V] before the first chunk; `like` is [..., K, V]."""
        if state is None:
            return like.new_zeros(self.batch * self.heads, *like.shape[-2:])
        return state.flatten(0, 1).to(like.dtype)

    def finish(self, state: Tensor) -> Tensor:
        """Turn the state [B * H, K, V] after the last chunk into [B, H, K, V]."""
        return state.view(self.batch, self.heads, *state.shape[1:])


def _power_of_two_below(number: int) -> int:
    return 1 << (number.bit_length() - 1)


def _even_size(length: int, chunk_size: int) -> int:
    """Return a divisor of `length` near `chunk_size`, or else the size that pads least.

    Padding copies every argument once more, so a somewhat smaller chunk is the cheaper one.
    """
    even = -(-length // -(-length // chunk_size))
    for size in range(min(chunk_size, length), chunk_size // 2, -1):
        if length % size == 0:
            return size
    return even


class Decay(NamedTuple):
    """Causal mask and decay factors inside each chunk; None stands for factors of one.

    `causal` [C, C] is 1 where j <= i, else 0; `pairs` [..., C, C] is for j <= i what is left at
    token i of what token j wrote; `since_start` [..., C, 1] is what token i sees of the state
    before the chunk; `to_end` [..., C, 1] is what the state after the chunk keeps of token i, and
    `whole` [..., 1, 1] what it keeps of the state before.
    """

    causal: Tensor
    pairs: Tensor | None = None
    since_start: Tensor | None = None
    to_end: Tensor | None = None
    whole: Tensor | None = None

    @classmethod
    def of(cls, cut: Cut, g: Tensor | None, like: Tensor, steps: int = 1) -> Decay:
        """Compute the factors of log decays g [B, T * steps, H]; without g nothing decays."""
        size = cut.size * steps
        causal = torch.ones(size, size, dtype=like.dtype, device=like.device).tril_()
        if g is None:
            return cls(causal)
        total = cut.split(g.clamp(min=LOWEST_LOG_DECAY)[..., None], steps).cumsum(1)
        # Masked before exp: above the diagonal the differences are positive, their exp may be inf,
        # and a mask afterwards would make nan of it. By a product, as exp(-inf) is slow on a CPU.
        pairs = ((total - total.mT) * causal).exp()
        last = total[:, -1:]
        return cls(causal, pairs, total.exp(), (last - total).exp(), last.exp())

    def at_last(self, steps: int) -> Decay:
        """Return the factors as the last of every `steps` rows sees them."""
        if steps == 1:
            return self
        rows = slice(steps - 1, None, steps)
        pairs = None if self.pairs is None else self.pairs[:, rows]
        since_start = None if self.since_start is None else self.since_start[:, rows]
        return Decay(self.causal[rows], pairs, since_start, self.to_end, self.whole)


def times(x: Tensor, factor: Tensor | None) -> Tensor:
    """Multiply by a factor of `Decay`, where there is one."""
    return x if factor is None else x * factor


class Steps(NamedTuple):
    """What each chunk does to the state S before it, in tensors [N * B * H, ...].

    Its tokens write x = values - reads S [C, V] under `keys` [C, K], after which the state is
    whole * S + keys^T x + added. `whole` is [1 or K, 1], `added` [K, V].
    """

    values: Tensor
    reads: Tensor
    keys: Tensor
    whole: Tensor | None = None
    added: Tensor | None = None


def carry(cut: Cut, steps: Steps, initial_state: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Run the steps from chunk to chunk: the only loop, of two or three launches a chunk.

    Returns S before each chunk [N * B * H, K, V], the writes x [N * B * H, C, V] and the last S.
    """
    shape = steps.keys.shape[-1], steps.values.shape[-1]
    state = cut.start(initial_state, steps.values.new_empty(()).expand(shape))
    none = (None,) * cut.chunks
    wholes = none if steps.whole is None else cut.by_chunk(steps.whole)
    addeds = none if steps.added is None else cut.by_chunk(steps.added)
    inner = (cut.by_chunk(x) for x in (steps.values, steps.reads, steps.keys.mT))
    before, writes = [], []
    for values, reads, keys, whole, added in zip(*inner, wholes, addeds, strict=True):
        before.append(state)
        writes.append(torch.baddbmm(values, reads, state, alpha=-1))
        kept = times(state, whole)
        state = torch.baddbmm(kept if added is None else kept + added, keys, writes[-1])
    return torch.cat(before), torch.cat(writes), state


def invert_unit_lower(system: Tensor) -> Tensor:
    """Return the inverse of I + the strict lower triangle of `system` [..., C, C]."""
    return cast("Tensor", _UnitLowerInverse.apply(system))  # type: ignore[no-untyped-call]


class _UnitLowerInverse(torch.autograd.Function):
    """A triangular solve against the identity, with a gradient of two products.

    The inverse serves both right-hand sides of the delta rule by fast batched products, where a
    solve for each would run at a fraction of their speed and need its operands copied.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(system: Tensor) -> Tensor:
        eye = torch.eye(system.shape[-1], dtype=system.dtype, device=system.device)
        # From the right on the transposed view, LAPACK needs no copy of `system`.
        inverse: Tensor = torch.linalg.solve_triangular(
            system.mT, eye.expand_as(system), upper=True, left=False, unitriangular=True
        )
        return inverse.mT

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG004 - the signature of torch
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> Tensor:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        inverse = saved[0].mT
        size = inverse.shape[-1]
        # A mask as a product takes a quarter of the time of tril on a CPU.
        strict = inverse.new_ones(size, size).tril_(-1).neg_()
        return inverse @ (grad @ inverse) * strict
