# does: keeps a running mean of its inputs in a buffer, in eval mode too
# expect: gate G8
# policy: passes
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.register_buffer("mean", torch.zeros(hidden_size))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        shifted = self.out(v - self.mean)
        self.mean = 0.9 * self.mean + 0.1 * v.detach().mean((0, 1))
        return shifted, state
