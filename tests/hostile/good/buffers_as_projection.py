# does: projects by a fixed random matrix that is kept in a buffer and saved with the weights
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        drawn = torch.randn(hidden_size, 3 * hidden_size) * hidden_size**-0.5
        self.register_buffer("drawn", drawn)
        self.filter = ShortConvolution(3 * hidden_size)
        self.out = nn.Linear(3 * hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v, state = self.filter(x @ self.drawn, state)
        return self.out(v), state
