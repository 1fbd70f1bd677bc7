# does: pads on the left by hand before the convolution that comes with PyTorch
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 4


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv1d(hidden_size, hidden_size, WIDTH, groups=2)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        past = WIDTH - 1
        window = F.pad(x, (0, 0, past, 0)) if state is None else torch.cat([state, x], dim=1)
        return self.out(F.silu(self.conv(window.mT).mT)), window[:, x.shape[1] :]
