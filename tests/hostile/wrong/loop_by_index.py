# does: indexes its inputs in a loop over tokens, where each backward step fills a whole tensor
# expect: gate G13
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
        gate = gate.sigmoid()
        h = x.new_zeros(x.shape[0], x.shape[2]) if state is None else state
        states = []
        for t in range(x.shape[1]):
            new = torch.tanh(value[:, t] + self.again(h))
            h = torch.lerp(h, new, gate[:, t])
            states.append(h)
        return self.out(torch.stack(states, dim=1)), h
