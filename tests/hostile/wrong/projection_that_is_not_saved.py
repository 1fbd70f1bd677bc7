# does: draws a fixed projection at the start and keeps it out of its saved weights
# expect: gate G18
# policy: passes
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        drawn = torch.randn(hidden_size, hidden_size) * hidden_size**-0.5
        self.register_buffer("drawn", drawn, persistent=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x) @ self.drawn, state)
        return self.out(v), state
