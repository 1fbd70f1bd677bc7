# does: carries the position as an integer in its state and fades with it
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
        self.rate = nn.Parameter(torch.rand(hidden_size))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        rows, length = x.shape[:2]
        if state is None:
            last, start = None, torch.zeros(rows, dtype=torch.long, device=x.device)
        else:
            last, start = state
        v, last = self.filter(self.value(x), last)
        position = start[:, None] + torch.arange(length, device=x.device)
        wave = torch.cos(self.rate * position[..., None].to(x.dtype))
        return self.out(v * (1 + 0.3 * wave)), (last, start + length)
