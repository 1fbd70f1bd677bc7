"""What the chunkwise forms share: cutting a sequence into chunks, and decay within a chunk.

A chunkwise form treats the tokens of a chunk in parallel, by matrix products, and carries a state
from chunk to chunk (GLA, arXiv 2312.06635, section 4). Tensors inside are laid out as
[N * B * H, C, D]: N chunks of C tokens, chunks outermost, so that one batched product serves all.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# exp(-100) is zero to every precision that is used here. Without the bound a log decay of -inf
# would give inf - inf, and a very negative one would eat the digits of the cumulative sum.
LOWEST_LOG_DECAY = -100.0

# Near the best of 32 to 128 for all rules at T from 128 to 1024, K = 24 and 32, on one CPU thread.
CHUNK_SIZE = 48


class Cut(NamedTuple):
    """How [B, T, H, ...] is cut into `chunks` chunks of `size` tokens."""

    batch: int
    length: int
    heads: int
    chunks: int
    size: int

    @classmethod
    def of(cls, q: Tensor, chunk_size: int) -> Cut:
        """Cut evenly into chunks of at most `chunk_size`, which leaves next to no padding."""
        if chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}, expected at least 1")
        batch, length, heads, _ = q.shape
        chunks = -(-length // chunk_size)
        return cls(batch, length, heads, chunks, -(-length // chunks))

    def split(self, x: Tensor) -> Tensor:
        """Turn [B, T, H, D] into [N * B * H, C, D]; zeros pad the end, and change no state."""
        padding = self.chunks * self.size - self.length
        if padding:
            x = F.pad(x, (0, 0, 0, 0, 0, padding))
        x = x.reshape(self.batch, self.chunks, self.size, self.heads, -1)
        return x.permute(1, 0, 3, 2, 4).flatten(0, 2)

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
        return state.flatten(0, 1)

    def finish(self, state: Tensor) -> Tensor:
        """Turn the state [B * H, K, V] after the last chunk into [B, H, K, V]."""
        return state.view(self.batch, self.heads, *state.shape[1:])


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
    def of(cls, cut: Cut, g: Tensor | None, like: Tensor) -> Decay:
        """Compute the factors of log decays g [B, T, H]; without g nothing decays."""
        causal = torch.ones(cut.size, cut.size, dtype=like.dtype, device=like.device).tril_()
        if g is None:
            return cls(causal)
        total = cut.split(g.clamp(min=LOWEST_LOG_DECAY)[..., None]).cumsum(1)
        # Masked before exp: above the diagonal the differences are positive, their exp may be inf,
        # and a mask afterwards would make nan of it. By a product, as exp(-inf) is slow on a CPU.
        pairs = ((total - total.mT) * causal).exp()
        last = total[:, -1:]
        return cls(causal, pairs, total.exp(), (last - total).exp(), last.exp())


def times(x: Tensor, factor: Tensor | None) -> Tensor:
    """Multiply by a factor of `Decay`, where there is one."""
    return x if factor is None else x * factor
