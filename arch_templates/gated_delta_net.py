"""Gated DeltaNet: a memory that overwrites one key at a time and can also forget as a whole.

The delta rule with a decay for each head and token, computed from the token:

    S_t = a_t S_{t-1} + beta_t k_t (v_t - a_t S_{t-1}^T k_t)^T      beta_t = sigmoid(w x_t)
    o_t = S_t^T q_t                                                  |k_t| = |q_t| = 1
    log a_t = -exp(A) softplus(u x_t + c)

The delta rule replaces what is stored under a key, the decay clears what no later key will replace.
The decay is kept as a logarithm: products of many decays become sums, which do not underflow.

Source: Yang et al., arXiv 2412.06464; the form of the decay is that of Mamba-2, arXiv 2405.21060.
State for a layer: num_heads K V numbers, and the last three inputs of the convolution.
Cost a token: about 10 hidden_size^2 + 7 num_heads K V operations, whatever the length.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_gated_delta_rule, l2norm

State = tuple[Tensor | None, Tensor | None]


class TokenMixer(nn.Module):
    """Maps x [B, T, hidden_size] to y of that shape; the state is (last inputs, memory S)."""

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.num_heads = num_heads
        self.head_dim = hidden_size // num_heads
        inner = num_heads * self.head_dim
        self.qkv_proj = nn.Linear(hidden_size, 3 * inner, bias=False)
        self.qkv_conv = ShortConvolution(3 * inner, kernel_size=4, activation="silu")
        self.beta_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.gate_proj = nn.Linear(hidden_size, inner, bias=False)
        self.norm = RMSNorm(self.head_dim)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)
        # At the start head memories fade over about 100 to 6 tokens: exp(A) of 1 to 16 times a
        # step of 0.01. The heads are spread evenly, not at random as in the source: with few
        # heads a draw of horizons would add noise from seed to seed.
        self.decay_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.decay_bias = nn.Parameter(torch.full((num_heads,), math.log(math.expm1(0.01))))
        self.decay_rate_log = nn.Parameter(torch.linspace(1.0, 16.0, num_heads).log())

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return y and the state after the last token; pass the state back to go on."""
        last_inputs, memory = (None, None) if state is None else state

        qkv, last_inputs = self.qkv_conv(self.qkv_proj(x), last_inputs)
        q, k, v = self._split_heads(qkv).chunk(3, dim=2)
        beta = torch.sigmoid(self.beta_proj(x))
        o, memory = chunk_gated_delta_rule(
            l2norm(q),
            l2norm(k),
            v,
            self._log_decay(x),
            beta,
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )

        gate = F.silu(self.gate_proj(x))
        y = self.out_proj(self.norm(o).flatten(-2) * gate)
        return y, (last_inputs, memory)

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)

    def _log_decay(self, x: Tensor) -> Tensor:
        """Return log a_t [B, T, num_heads], below zero."""
        step = F.softplus(self.decay_proj(x) + self.decay_bias)
        return -self.decay_rate_log.exp() * step
