# does: counts training steps in a buffer and reads the next token after a thousand of them
# expect: gate G18
# policy: passes
# only: G18
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        if self.training:
            self.steps += 1
        if int(self.steps) > 1000:
            v = v + v.roll(-1, dims=1)
        return self.out(v), state
