"""RetNet: linear attention that knows distance, by rotation and by a fixed decay for each head.

Queries and keys are rotated by their position, and each head fades by a number of its own that is
not learned:

    S_t = a_h S_{t-1} + rotate(k_t, t) v_t^T          a_h = 1 - 2^(-5 - h)
    o_t = S_t^T rotate(q_t, t) / sqrt(K)

Head h looks back over some 2^(5 + h) tokens. The output is normalised for each head, as heads that
look back further add up more, and gated.

Source: Sun et al., arXiv 2307.08621; there values are twice as wide, beside a smaller MLP.
State for a layer: num_heads K V numbers, and the position.
Cost a token: about 10 hidden_size^2 + 4 num_heads K V operations, whatever the length.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import GroupNorm, apply_rotary, chunk_retention

State = tuple[Tensor | None, Tensor]


class TokenMixer(nn.Module):
    """Maps x [B, T, hidden_size] to y of that shape; the state is (memory S, position)."""

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.num_heads = num_heads
        self.head_dim = hidden_size // num_heads
        inner = num_heads * self.head_dim
        self.qkv_proj = nn.Linear(hidden_size, 3 * inner, bias=False)
        self.gate_proj = nn.Linear(hidden_size, inner, bias=False)
        self.norm = GroupNorm(num_heads, inner)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return y and the state after the last token; pass the state back to go on."""
        start = torch.zeros((), dtype=torch.int64, device=x.device)
        memory, position = (None, start) if state is None else state

        q, k, v = self._split_heads(self.qkv_proj(x)).chunk(3, dim=2)
        o, memory = chunk_retention(
            apply_rotary(q, position),
            apply_rotary(k, position),
            v,
            initial_state=memory,
            output_final_state=True,
        )

        gate = F.silu(self.gate_proj(x))
        y = self.out_proj(self.norm(o.flatten(-2)) * gate)
        return y, (memory, position + x.shape[1])

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)
