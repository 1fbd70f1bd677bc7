# does: computes a gated recurrence by a scan of logarithmic depth
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.enter = nn.Linear(hidden_size, 2 * hidden_size)
        self.gate = nn.Linear(hidden_size, hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        value, keep = self.enter(x).chunk(2, dim=2)
        keep = keep.sigmoid()
        h, kept = scan(keep, (1 - keep) * value)
        if state is not None:
            h = h + kept * state
        return self.out(h * F.silu(self.gate(x))), h[:, -1:]


def scan(keep: Tensor, add: Tensor) -> tuple[Tensor, Tensor]:
    step = 1
    while step < keep.shape[1]:
        earlier = F.pad(add, (0, 0, step, 0))[:, : add.shape[1]]
        before = F.pad(keep, (0, 0, step, 0), value=1.0)[:, : keep.shape[1]]
        add, keep = torch.addcmul(add, keep, earlier), keep * before
        step *= 2
    return add, keep
