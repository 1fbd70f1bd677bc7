"""HierGateNet: first near or far, then which of the two there; no path can die.

Four paths lead from the values v: near are v itself and a short filter, far are a delta-rule memory
and a long filter. For each head and token one gate n divides between near and far, two more within
them, and every path keeps a floor f, which each head learns for itself:

    o_t = sum_i w_ti path_ti          w_t = f + (1 - sum(f)) u_t          sum(w_t) = 1
    u_t = (n_t a_t, n_t (1 - a_t), (1 - n_t) b_t, (1 - n_t) (1 - b_t))
    n_t, a_t, b_t = sigmoid(m(x_t))          0 < f < 0.1

Near or far is a cheap decision that two gates of two make well, where one softmax over four spreads
its weight thinly; a path below its floor would get no gradient and never come back.

Source: the idea of a design that the search of arXiv 2507.18074 found; its program is not
published, so paths, sizes and starting values are ours.
State for a layer: num_heads K V numbers, the last 3 inputs of the convolution and the last values
that the filters need, 2 and 30.
Cost a token: about 9 hidden_size^2 + 6 num_heads K V + 68 hidden_size operations.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import (
    RMSNorm,
    ShortConvolution,
    causal_conv,
    chunk_causal_fir,
    chunk_delta_rule,
    l2norm,
)

State = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]

PATHS, SHORT, LONG = 4, 3, 31
HIGHEST_FLOOR = 0.1


class TokenMixer(nn.Module):
    """Maps x [B, T, hidden_size] to y; the state is (last inputs, memory S, last values twice)."""

    large_state = True

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.num_heads = num_heads
        self.head_dim = hidden_size // num_heads
        inner = num_heads * self.head_dim
        self.qkv_proj = nn.Linear(hidden_size, 3 * inner, bias=False)
        self.qkv_conv = ShortConvolution(3 * inner, kernel_size=4, activation="silu")
        self.beta_proj = nn.Linear(hidden_size, num_heads, bias=False)
        # The filters start as the identity: no path destroys the values before it has learned.
        self.short_filter = nn.Parameter(F.pad(torch.ones(inner, 1), (SHORT - 1, 0)))
        self.long_filter = nn.Parameter(F.pad(torch.ones(inner, 1), (LONG - 1, 0)))
        self.router = HierarchicalGate(hidden_size, num_heads)
        self.norm = RMSNorm(self.head_dim)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return y and the state after the last token; pass the state back to go on."""
        last_inputs, memory, last_short, last_long = (None,) * 4 if state is None else state

        qkv, last_inputs = self.qkv_conv(self.qkv_proj(x), last_inputs)
        q, k, v = self._split_heads(qkv).chunk(3, dim=2)
        short, last_short = causal_conv(v.flatten(-2), self.short_filter, last_short)
        long, last_long = chunk_causal_fir(v.flatten(-2), self.long_filter, last_long)
        beta = torch.sigmoid(self.beta_proj(x))
        delta, memory = chunk_delta_rule(
            l2norm(q),
            l2norm(k),
            v,
            beta,
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )

        paths = [v, self._split_heads(short), delta, self._split_heads(long)]
        o = (self.router(x)[..., None] * torch.stack(paths, dim=-2)).sum(-2)
        y = self.out_proj(self.norm(o).flatten(-2))
        return y, (last_inputs, memory, last_short, last_long)

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)


class HierarchicalGate(nn.Module):
    """Weighs the paths of each head in two stages, and none below its floor."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(hidden_size, hidden_size // 2),
            nn.SiLU(),
            nn.Linear(hidden_size // 2, 3 * num_heads, bias=False),
        )
        # Even between near and far; v before the short filter, the memory before the long one.
        self.bias = nn.Parameter(torch.tensor([0.0, 1.0, 1.0]).repeat(num_heads, 1))
        self.floor_logits = nn.Parameter(torch.full((num_heads, PATHS), -1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Return the weights [B, T, H, PATHS] at x [B, T, hidden_size]."""
        gates = torch.sigmoid(self.mlp(x).unflatten(-1, self.bias.shape) + self.bias)
        pairs = torch.stack([gates, 1 - gates], dim=-1)
        near_or_far, within = pairs[..., :1, :], pairs[..., 1:, :]
        weights: Tensor = (near_or_far.mT * within).flatten(-2)
        floor = HIGHEST_FLOOR * torch.sigmoid(self.floor_logits)
        return floor + weights * (1 - floor.sum(-1, keepdim=True))
