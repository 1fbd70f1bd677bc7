# does: keeps a soft maximum of each channel so far
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        last, total = (None, None) if state is None else state
        v, last = self.filter(self.value(x), last)
        running = torch.logcumsumexp(v, dim=1)
        if total is not None:
            running = torch.logaddexp(running, total)
        return self.out(torch.cat([v, running], dim=-1)), (last, running[:, -1:])
