# does: keeps the sixteen largest channels of each token
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.filter = ShortConvolution(2 * hidden_size, activation=None)
        self.out = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v, state = self.filter(self.value(x), state)
        kept = v.abs().topk(16, dim=-1).indices
        sparse = torch.zeros_like(v).scatter(-1, kept, v.gather(-1, kept))
        return self.out(sparse), state
