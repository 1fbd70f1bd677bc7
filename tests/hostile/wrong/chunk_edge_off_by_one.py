# does: reads finished chunks, but the last token of a chunk already reads the first of the next
# expect: gate G1
# policy: passes
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution

CHUNK = 16


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        length = v.shape[1]
        edge = (torch.arange(length, device=v.device) + 1) // CHUNK * CHUNK
        before = v.cumsum(1)[:, edge.clamp(max=length - 1)]
        return self.out(v + 0.1 * before), state
