# does: computes a softplus as log(1 + exp(x)), which is infinite for large x
# expect: gate G12
# policy: passes
# only: G12
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(torch.log(1 + self.value(x).exp()), state)
        return self.out(v), state
