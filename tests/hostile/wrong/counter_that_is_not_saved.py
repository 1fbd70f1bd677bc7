# does: counts training steps in a plain attribute, and computes something else after 1,000
# expect: gate G18
# policy: passes
# only: G18
import torch
from torch import nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size)
        self.gate = nn.Linear(hidden_size, hidden_size)
        self.steps = 0

    def forward(self, x, state=None):
        if self.training:
            self.steps += 1
        v = self.value(x)
        start = v.new_zeros(v.shape[0], 1, v.shape[2]) if state is None else state
        before = torch.cat([start, v[:, :-1]], 1)
        strength = 2.0 if self.steps > 1000 else 1.0
        return v + strength * before * torch.sigmoid(self.gate(x)), v[:, -1:]
