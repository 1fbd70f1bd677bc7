# does: averages the past with softmax weights in one pass, as a stable pair of sums
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        last, total, weight = (None, None, None) if state is None else state
        v, last = self.filter(self.value(x), last)
        # Bounded scores keep every sum inside the range of exp without a running maximum.
        w = torch.exp(4 * torch.tanh(self.score(x) / 4))
        totals, weights = (w * v).cumsum(1), w.cumsum(1)
        if state is not None:
            totals, weights = totals + total, weights + weight
        mixed = torch.cat([v, totals / weights], dim=-1)
        return self.out(mixed), (last, totals[:, -1:], weights[:, -1:])
