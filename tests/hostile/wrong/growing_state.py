# does: reads the last four tokens but keeps them all
# expect: gate G14
# policy: passes
# only: G14
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
        v = self.value(x)
        kept = nn.functional.pad(v, (0, 0, 3, 0)) if state is None else torch.cat([state, v], 1)
        start = kept.shape[1] - v.shape[1] - 3
        mixed, _ = self.filter(v, kept[:, start : start + 3])
        return self.out(mixed), kept
