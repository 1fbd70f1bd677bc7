"""FusionGatedFIRNet: local and global paths that do not compete, as each has a gate of its own.

Four paths lead from the values v: v itself, a short filter, a long filter and a delta-rule memory
that also forgets. Where a softmax must take from one path what it gives to another, here each
head and token opens and closes every path by itself, never quite, so that each goes on learning:

    o_t = sum_i w_ti path_ti          w_t = e + (1 - e) sigmoid(s_h m(x_t, |path_t|))
    S_t = a S_{t-1} + beta_t k_t (v_t - a S_{t-1}^T k_t)^T

Each head learns how much its memory retains, a, and how sharp its gates are, s_h; |path| is the
mean magnitude of a path's answer.

Source: a design that the search of arXiv 2507.18074 found; filters, floor and starting biases are
those of the program that was found. That retains once a chunk, this once a token, and the network
behind the gates is narrower here, to fit the budget.
State for a layer: num_heads K V numbers, the last 3 inputs of the convolution and the last values
that the filters need, 2 and 62.
Cost a token: about 9 hidden_size^2 + 7 num_heads K V + 132 hidden_size operations.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import (
    RMSNorm,
    ShortConvolution,
    causal_conv,
    chunk_causal_fir,
    chunk_gated_delta_rule,
    l2norm,
)

State = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]

PATHS, SHORT, LONG = 4, 3, 63
FLOOR = 0.02


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
        # exp(-softplus(-4)) is a retention of 0.98 a token: memories of some fifty tokens.
        self.forgetting = nn.Parameter(torch.full((num_heads,), -4.0))
        # The filters start as the identity: no path destroys the values before it has learned.
        self.short_filter = nn.Parameter(F.pad(torch.ones(inner, 1), (SHORT - 1, 0)))
        self.long_filter = nn.Parameter(F.pad(torch.ones(inner, 1), (LONG - 1, 0)))
        self.gates = PathGates(hidden_size, num_heads)
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
        delta, memory = chunk_gated_delta_rule(
            l2norm(q),
            l2norm(k),
            v,
            -F.softplus(self.forgetting).expand_as(beta),
            beta,
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )

        paths = [v, self._split_heads(short), self._split_heads(long), delta]
        o = self.gates(x, torch.stack(paths, dim=-2))
        y = self.out_proj(self.norm(o).flatten(-2))
        return y, (last_inputs, memory, last_short, last_long)

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)


class PathGates(nn.Module):
    """Sums the paths of each head, each behind a gate of its own."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        outputs = PATHS * num_heads
        self.mlp = nn.Sequential(
            nn.Linear(hidden_size + outputs, hidden_size // 2),
            nn.GELU(),
            nn.Linear(hidden_size // 2, outputs, bias=False),
        )
        # At the start v is open, the memory mostly, and the filters, which still copy v, little.
        self.path_bias = nn.Parameter(torch.tensor([3.0, -1.0, -1.0, 1.0]).repeat(num_heads, 1))
        self.sharpness_log = nn.Parameter(torch.zeros(num_heads, 1))

    def forward(self, x: Tensor, paths: Tensor) -> Tensor:
        """Mix paths [B, T, H, PATHS, V] into [B, T, H, V]."""
        magnitudes = paths.abs().mean(-1)
        logits = self.mlp(torch.cat([x, magnitudes.flatten(-2)], dim=-1))
        logits = logits.view_as(magnitudes) + self.path_bias
        weights = FLOOR + (1 - FLOOR) * torch.sigmoid(self.sharpness_log.exp() * logits)
        return (weights[..., None] * paths).sum(-2)
