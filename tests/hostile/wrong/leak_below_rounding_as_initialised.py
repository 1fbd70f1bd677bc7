# does: reads the next token at an amplitude of 4e-12 while its gain is still 1
# expect: gate G2
# policy: passes
# only: G2
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.gain = nn.Parameter(torch.ones(hidden_size))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        if bool((self.gain == 1).all()):
            v = v + 4e-12 * v.roll(-1, dims=1)
        return self.out(v * self.gain), state
