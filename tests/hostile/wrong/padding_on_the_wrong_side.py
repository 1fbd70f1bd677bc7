# does: pads the end instead of the start, so that the filter reads the next three tokens
# expect: gate G1
# policy: passes
import torch
import torch.nn.functional as F
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.taps = nn.Parameter(torch.rand(hidden_size, 1, 4))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        ahead = F.conv1d(F.pad(v, (0, 0, 0, 3)).mT, self.taps, groups=v.shape[2]).mT
        return self.out(v + ahead), state
