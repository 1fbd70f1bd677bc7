# does: keeps a [T, T] table of decays for the backward pass, without a matrix product
# expect: gate G13
# policy: passes
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.decay = nn.Parameter(torch.tensor([0.5]))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        position = torch.arange(v.shape[1], device=v.device)
        table = (self.decay * (position[:, None] == position)).exp()
        return self.out(v * table.amax(1, keepdim=True)), state
