"""DeltaNet: a linear attention that corrects its memory instead of only adding to it.

With normalised keys and a write strength b_t in (0, 1), each head keeps a matrix S [K, V]::

    S_t = (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T        o_t = S_t^T q_t / sqrt(K)

The token reads what is stored under its key and moves it towards its value by the share b_t.
Queries, keys and values pass a short causal convolution; the output is normalised for each head
and gated. Source: arXiv 2406.06484 (section 3), with the short convolution of its appendix.

State of a sequence and layer: heads * K * V numbers, and three inputs of each of 3 convolutions.
Cost of a token: 5 hidden^2 multiplications in projections and O(K V) a head in the memory.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_delta_rule, l2norm

State = tuple[Tensor, Tensor, Tensor, Tensor | None]


class TokenMixer(nn.Module):
    """DeltaNet with short convolutions, unit keys and an output gate."""

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.k_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.v_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.b_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.g_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.o_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.q_conv = ShortConvolution(hidden_size)
        self.k_conv = ShortConvolution(hidden_size)
        self.v_conv = ShortConvolution(hidden_size)
        self.o_norm = RMSNorm(hidden_size // num_heads)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map x [B, T, hidden] to y of the same shape and the state after the last token."""
        q_state, k_state, v_state, memory = state or (None, None, None, None)
        q, q_state = self.q_conv(self.q_proj(x), q_state)
        k, k_state = self.k_conv(self.k_proj(x), k_state)
        v, v_state = self.v_conv(self.v_proj(x), v_state)
        q, k, v = (part.unflatten(-1, (self.num_heads, -1)) for part in (q, k, v))

        beta = self.b_proj(x).sigmoid()
        o, memory = chunk_delta_rule(
            l2norm(q), l2norm(k), v, beta, initial_state=memory, output_final_state=True
        )
        y = self.o_norm(o).flatten(-2) * F.silu(self.g_proj(x))
        return self.o_proj(y), (q_state, k_state, v_state, memory)
