# does: expands keys and queries to second order, as a polynomial kernel
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_simple_gla

WIDTH = 4


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.filter = ShortConvolution(hidden_size, kernel_size=3)
        self.query = nn.Linear(hidden_size, WIDTH, bias=False)
        self.key = nn.Linear(hidden_size, WIDTH, bias=False)
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.norm = RMSNorm(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        last, memory = (None, None) if state is None else state
        u, last = self.filter(x, last)
        o, memory = chunk_simple_gla(
            expand(self.query(u)),
            expand(self.key(u)),
            self.value(u)[:, :, None],
            initial_state=memory,
            output_final_state=True,
        )
        return self.out(self.norm(o[:, :, 0])), (last, memory)


def expand(x: Tensor) -> Tensor:
    """Turn [B, T, K] into [B, T, 1, 1 + K + K * K]."""
    squares = (x[..., None] * x[..., None, :]).flatten(2) / 2**0.5
    return torch.cat([torch.ones_like(x[..., :1]), x, squares], dim=-1)[:, :, None]
