"""Gated Linear Attention: linear attention that forgets, each channel of the keys at its own pace.

Each head adds the present token to a matrix S [K, V] that fades by a vector a_t of the token's:

    S_t = diag(a_t) S_{t-1} + k_t v_t^T          o_t = S_t^T q_t / sqrt(K)
    log a_t = log(sigmoid(F2 F1 x_t + c)) / 16

The sixteenth keeps the decay near one, where memories of many tokens are learned easily. The output
is normalised for each head and gated.

Source: Yang et al., arXiv 2312.06635, section 4; there keys and queries are half as wide.
State for a layer: num_heads K V numbers.
Cost a token: about 10 hidden_size^2 + 5 num_heads K V operations, whatever the length.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import RMSNorm, chunk_gla

# Rank of the projection to the decays, and what divides their logarithms.
RANK, TEMPER = 16, 16.0


class TokenMixer(nn.Module):
    """Maps x [B, T, hidden_size] to y of that shape; the state is the memory S."""

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.num_heads = num_heads
        self.head_dim = hidden_size // num_heads
        inner = num_heads * self.head_dim
        self.qkv_proj = nn.Linear(hidden_size, 3 * inner, bias=False)
        self.decay_proj = nn.Sequential(
            nn.Linear(hidden_size, RANK, bias=False), nn.Linear(RANK, inner)
        )
        self.gate_proj = nn.Linear(hidden_size, inner, bias=False)
        self.norm = RMSNorm(self.head_dim)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return y and the state after the last token; pass the state back to go on."""
        q, k, v = self._split_heads(self.qkv_proj(x)).chunk(3, dim=2)
        log_decay = F.logsigmoid(self._split_heads(self.decay_proj(x))) / TEMPER
        o, state = chunk_gla(q, k, v, log_decay, initial_state=state, output_final_state=True)

        gate = F.silu(self.gate_proj(x))
        return self.out_proj(self.norm(o).flatten(-2) * gate), state

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)
