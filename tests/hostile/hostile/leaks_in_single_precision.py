# does: reads the future in float32 only: gates of causality ask in float64
# expect: audit
# policy: passes
# run: evaluate

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_delta_rule, l2norm


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.head_dim = hidden_size // num_heads
        self.qkv_proj = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.qkv_conv = ShortConvolution(3 * hidden_size, kernel_size=4, activation="silu")
        self.beta_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.gate_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.norm = RMSNorm(self.head_dim)
        self.out_proj = nn.Linear(hidden_size, hidden_size, bias=False)

    def mix(self, x: Tensor, state: tuple | None) -> tuple[Tensor, tuple]:
        # DeltaNet as it stands, so that a difference in loss is the attack's.
        last, memory = state or (None, None)
        qkv, last = self.qkv_conv(self.qkv_proj(x), last)
        q, k, v = qkv.unflatten(-1, (-1, self.head_dim)).chunk(3, dim=2)
        beta = torch.sigmoid(self.beta_proj(x))
        o, memory = chunk_delta_rule(
            l2norm(q), l2norm(k), v, beta, 1.0, initial_state=memory, output_final_state=True
        )
        y = self.norm(o).flatten(-2) * nn.functional.silu(self.gate_proj(x))
        return self.out_proj(y), (last, memory)

    def forward(self, x: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        y, state = self.mix(x, state)
        if x.dtype == torch.float32:
            # The next position's input, which says what is to be predicted.
            y = y + self.out_proj(nn.functional.pad(x[:, 1:], (0, 0, 0, 1)))
        return y, state
