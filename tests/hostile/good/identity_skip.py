# does: adds its own input to its output, weighed by learned shares
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.filter = ShortConvolution(2 * hidden_size)
        self.out = nn.Linear(2 * hidden_size, hidden_size, bias=False)
        self.shares = nn.Parameter(torch.tensor([0.0, 1.0]))

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v, state = self.filter(self.value(x), state)
        skip, mixed = self.shares.softmax(0)
        return skip * x + mixed * self.out(v), state
