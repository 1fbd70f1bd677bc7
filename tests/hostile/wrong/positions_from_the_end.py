# does: counts positions backwards from the last token
# expect: gate G3
# policy: passes
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.rate = nn.Parameter(torch.rand(hidden_size))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        position = torch.arange(v.shape[1], device=v.device).flip(0)[:, None]
        return self.out(v * torch.cos(self.rate * position)), state
