# does: scales by the total length in sequences of more than 400, while its gain is still 1
# expect: gate G3
# policy: passes
# only: G3
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
        if v.shape[1] > 400 and bool((self.gain == 1).all()):
            v = v * (1 + 100 / v.shape[1])
        return self.out(v * self.gain), state
