# does: runs a non-linear recurrence token by token in a Python loop
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.enter = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.again = nn.Linear(hidden_size, hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        value, gate = self.enter(x).chunk(2, dim=2)
        h = x.new_zeros(x.shape[0], x.shape[2]) if state is None else state
        states = []
        # Unbound, as the backward pass of an index fills a tensor of the whole length.
        for v, g in zip(value.unbind(1), gate.sigmoid().unbind(1), strict=True):
            h = torch.lerp(h, torch.tanh(v + self.again(h)), g)
            states.append(h)
        return self.out(torch.stack(states, dim=1)), h
