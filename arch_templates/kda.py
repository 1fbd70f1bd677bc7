"""Kimi Delta Attention: the gated delta rule with a decay for each channel of the keys.

Where Gated DeltaNet fades the memory of a head as a whole, here each row of S fades at a pace of
its own, a vector a_t that is computed from the token:

    S_t = (I - beta_t k_t k_t^T) diag(a_t) S_{t-1} + beta_t k_t v_t^T
    o_t = S_t^T q_t                               beta_t = sigmoid(w x_t)      |k_t| = |q_t| = 1
    log a_t = -exp(A) softplus(F2 F1 x_t + c)

so that one head may hold some things for long and others briefly. The decay and the output gate are
projections of low rank, through as many numbers as a head has channels.

Source: Kimi Linear, arXiv 2510.26692, section 3.
State for a layer: num_heads K V numbers, and the last three inputs of the convolution.
Cost a token: about 8 hidden_size^2 + 8 hidden_size K + 8 num_heads K V operations.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_kda, l2norm

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
        self.gate_proj = nn.Sequential(
            nn.Linear(hidden_size, self.head_dim, bias=False), nn.Linear(self.head_dim, inner)
        )
        self.norm = RMSNorm(self.head_dim)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)
        self.decay_proj = nn.Sequential(
            nn.Linear(hidden_size, self.head_dim, bias=False),
            nn.Linear(self.head_dim, inner, bias=False),
        )
        # Steps of 0.001 to 0.1 over the channels, rates of 1 to 16 over the heads: memories of a
        # thousand tokens to less than one. Spread evenly, where the source draws them.
        steps = torch.logspace(-3, -1, self.head_dim).expm1().log()
        self.decay_bias = nn.Parameter(steps.repeat(num_heads))
        self.decay_rate_log = nn.Parameter(torch.linspace(1.0, 16.0, num_heads).log())

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return y and the state after the last token; pass the state back to go on."""
        last_inputs, memory = (None, None) if state is None else state

        qkv, last_inputs = self.qkv_conv(self.qkv_proj(x), last_inputs)
        q, k, v = self._split_heads(qkv).chunk(3, dim=2)
        beta = torch.sigmoid(self.beta_proj(x))
        o, memory = chunk_kda(
            l2norm(q),
            l2norm(k),
            v,
            self._log_decay(x),
            beta,
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )

        gate = torch.sigmoid(self.gate_proj(x))
        y = self.out_proj(self.norm(o).flatten(-2) * gate)
        return y, (last_inputs, memory)

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)

    def _log_decay(self, x: Tensor) -> Tensor:
        """Return log a_t [B, T, num_heads, head_dim], below zero."""
        step = F.softplus(self.decay_proj(x) + self.decay_bias)
        return -self.decay_rate_log.exp()[:, None] * self._split_heads(step)
