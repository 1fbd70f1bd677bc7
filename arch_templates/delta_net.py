"""DeltaNet: linear attention whose memory overwrites instead of piling up.

Each head keeps a matrix S [K, V] that maps keys to values. A token reads what S holds under its
key and moves it towards its own value by the write strength beta:

    S_t = S_{t-1} + beta_t k_t (v_t - S_{t-1}^T k_t)^T        beta_t = sigmoid(w x_t)
    o_t = S_t^T q_t                                            |k_t| = |q_t| = 1

A short convolution on queries, keys and values binds each token to the few before it; the output
is normalised for each head and gated.

Source: Yang et al., arXiv 2406.06484, after the fast weight programmers of arXiv 2102.11174.
State for a layer: num_heads K V numbers, and the last three inputs of the convolution.
Cost a token: about 10 hidden_size^2 + 6 num_heads K V operations, whatever the length.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_delta_rule, l2norm

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

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return y and the state after the last token; pass the state back to go on."""
        last_inputs, memory = (None, None) if state is None else state

        qkv, last_inputs = self.qkv_conv(self.qkv_proj(x), last_inputs)
        q, k, v = self._split_heads(qkv).chunk(3, dim=2)
        beta = torch.sigmoid(self.beta_proj(x))
        o, memory = chunk_delta_rule(
            l2norm(q),
            l2norm(k),
            v,
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
