"""root.

The root.

Memory:
    S_t = (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T,    o_t = S_t^T q_t
    b_t = sigmoid(w_h x_t)
"""

import torch
from torch import nn
from torch.nn import functional as F

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_delta_rule, l2norm


class TokenMixer(nn.Module):
    """Maps x [B, T, hidden] to y [B, T, hidden]; the state holds what decoding needs."""

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0):
        super().__init__()
        self.num_heads = num_heads
        head_dim = hidden_size // num_heads
        key_dim = num_heads * head_dim
        value_dim = num_heads * head_dim
        self.q_proj = nn.Linear(hidden_size, key_dim, bias=False)
        self.k_proj = nn.Linear(hidden_size, key_dim, bias=False)
        self.v_proj = nn.Linear(hidden_size, value_dim, bias=False)
        self.o_proj = nn.Linear(value_dim, hidden_size, bias=False)
        self.q_conv = ShortConvolution(key_dim, 4, activation="silu")
        self.k_conv = ShortConvolution(key_dim, 4, activation="silu")
        self.v_conv = ShortConvolution(value_dim, 4, activation="silu")
        self.b_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.norm = RMSNorm(head_dim)
        self.g_proj = nn.Linear(hidden_size, value_dim, bias=False)

    def forward(
        self, x: torch.Tensor, state: dict[str, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return y and the state after the last token; pass the state back to go on."""
        state = {} if state is None else state
        new: dict[str, torch.Tensor] = {}
        q, new["q"] = self.q_conv(self.q_proj(x), state.get("q"))
        k, new["k"] = self.k_conv(self.k_proj(x), state.get("k"))
        v, new["v"] = self.v_conv(self.v_proj(x), state.get("v"))
        q, k = self._features(q), self._features(k)
        v = v.unflatten(-1, (self.num_heads, -1))
        beta = torch.sigmoid(self.b_proj(x))
        memory = state.get("memory")
        o, new["memory"] = chunk_delta_rule(
            q, k, v, beta, scale=1.0, initial_state=memory, output_final_state=True
        )
        o = self.norm(o)
        o = o * F.silu(self.g_proj(x)).view_as(o)
        return self.o_proj(o.flatten(-2)), new

    def _features(self, x: torch.Tensor) -> torch.Tensor:
        """Split queries or keys into heads [B, T, H, K] and map them."""
        x = x.unflatten(-1, (self.num_heads, -1))
        return l2norm(x)
