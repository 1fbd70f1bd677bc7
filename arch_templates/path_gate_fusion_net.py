"""PathGateFusionNet: a router first decides whether to copy or to look back, then where to look.

Three paths look back over the values v: a short filter, a long filter and a delta-rule memory. For
each head and token a first gate c weighs them against v itself, a second one divides what is left:

    o_t = c_t v_t + (1 - c_t) (p_t1 short_t + p_t2 long_t + p_t3 delta_t) + r v_t
    c_t = sigmoid(copy(x_t))        p_t = softmax(route(x_t))        sum(p_t) = 1

r, small and for each head, keeps the token itself in the stream whatever the router does. Each head
of the output is scaled by a gate of its own.

Source: the idea of a design that the search of arXiv 2507.18074 found; its program is not
published, so paths, sizes and starting values are ours.
State for a layer: num_heads K V numbers, the last 3 inputs of the convolution and the last 30
values of the filters.
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

SHORT, LONG = 3, 31


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
        self.router = nn.Sequential(
            nn.Linear(hidden_size, hidden_size // 2),
            nn.SiLU(),
            nn.Linear(hidden_size // 2, 4 * num_heads),
        )
        self.residual = nn.Parameter(torch.full((num_heads, 1), 0.1))
        self.gate_proj = nn.Linear(hidden_size, num_heads)
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
        paths = torch.stack([self._split_heads(short), self._split_heads(long), delta], dim=-1)

        copy, route = self.router(x).unflatten(-1, (self.num_heads, 4)).split((1, 3), dim=-1)
        copy = torch.sigmoid(copy)
        context = (paths * route.softmax(-1)[..., None, :]).sum(-1)
        o = copy * v + (1 - copy) * context + self.residual * v

        gate = torch.sigmoid(self.gate_proj(x))[..., None]
        y = self.out_proj((self.norm(o) * gate).flatten(-2))
        return y, (last_inputs, memory, last_short, last_long)

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)
