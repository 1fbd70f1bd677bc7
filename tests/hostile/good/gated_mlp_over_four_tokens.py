# does: feeds the last four tokens together into a gated MLP
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F

CONTEXT = 4


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.narrow = nn.Linear(hidden_size, hidden_size // 2, bias=False)
        self.gate = nn.Linear(CONTEXT * hidden_size // 2, hidden_size)
        self.up = nn.Linear(CONTEXT * hidden_size // 2, hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = self.narrow(x)
        if state is None:
            state = v.new_zeros(v.shape[0], CONTEXT - 1, v.shape[2])
        window = torch.cat([state, v], dim=1)
        context = window.unfold(1, CONTEXT, 1).flatten(2)
        y = self.out(F.silu(self.gate(context)) * self.up(context))
        return y, window[:, v.shape[1] :]
