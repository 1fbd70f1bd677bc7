# does: runs a diagonal recurrence of complex numbers and returns its real part
# expect: passes
# policy: passes
import math

import torch
from torch import Tensor, nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.enter = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.radius = nn.Parameter(torch.linspace(-5.0, 0.0, hidden_size))
        self.angle = nn.Parameter(torch.linspace(0.0, math.pi / 2, hidden_size))
        self.leave = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u = torch.complex(*self.enter(x).chunk(2, dim=2))
        turn = torch.polar(torch.exp(-self.radius.exp()), self.angle)
        h = torch.zeros_like(u[:, 0]) if state is None else state
        states = []
        for token in u.unbind(1):
            h = turn * h + token
            states.append(h)
        path = torch.stack(states, dim=1)
        return self.leave(torch.cat([path.real, path.imag], dim=-1)), h
