"""DeltaProduct: several steps of the delta rule for each token, so that a memory can be rotated.

Each token brings n keys, values and write strengths, and applies them one after the other before
it is read:

    S_t,j = S_t,j-1 + beta_t,j k_t,j (v_t,j - S_t,j-1^T k_t,j)^T      j = 1 ... n,  S_t,0 = S_t-1,n
    o_t = S_t,n^T q_t              beta_t,j = 2 sigmoid(w_j x_t)      |k_t,j| = |q_t| = 1

With a write strength of up to 2 a step may turn a direction round, and the product of n such
reflections is any rotation of n dimensions: such a layer tracks states (permutations, the words of
a group) that one step of the delta rule cannot.

Source: Siems et al., arXiv 2502.10297; here n = 2.
State for a layer: num_heads K V numbers, and the last three inputs of the convolution, which are
2 n + 1 times as wide as the layer.
Cost a token: about (6 + 4 n) hidden_size^2 + 6 n num_heads K V operations, whatever the length.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import (
    RMSNorm,
    ShortConvolution,
    chunk_gated_delta_product,
    l2norm,
)

State = tuple[Tensor | None, Tensor | None]

STEPS = 2


class TokenMixer(nn.Module):
    """Maps x [B, T, hidden_size] to y of that shape; the state is (last inputs, memory S)."""

    large_state = True

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.num_heads = num_heads
        self.head_dim = hidden_size // num_heads
        inner = num_heads * self.head_dim
        self.qkv_proj = nn.Linear(hidden_size, (1 + 2 * STEPS) * inner, bias=False)
        self.qkv_conv = ShortConvolution((1 + 2 * STEPS) * inner, kernel_size=4, activation="silu")
        self.beta_proj = nn.Linear(hidden_size, STEPS * num_heads, bias=False)
        self.gate_proj = nn.Linear(hidden_size, inner, bias=False)
        self.norm = RMSNorm(self.head_dim)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return y and the state after the last token; pass the state back to go on."""
        last_inputs, memory = (None, None) if state is None else state

        qkv, last_inputs = self.qkv_conv(self.qkv_proj(x), last_inputs)
        heads = qkv.view(*x.shape[:2], -1, self.num_heads, self.head_dim)
        q, k, v = torch.split(heads, [1, STEPS, STEPS], dim=2)
        beta = 2 * torch.sigmoid(self.beta_proj(x))
        o, memory = chunk_gated_delta_product(
            l2norm(q.squeeze(2)),
            l2norm(k.flatten(1, 2)),
            v.flatten(1, 2),
            None,
            beta.view(x.shape[0], -1, self.num_heads),
            num_householder=STEPS,
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )

        gate = F.silu(self.gate_proj(x))
        y = self.out_proj(self.norm(o).flatten(-2) * gate)
        return y, (last_inputs, memory)
