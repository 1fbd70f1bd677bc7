# does: attends within blocks of 32, with a mask that lets each token see the next one
# expect: gate G1
# policy: passes
import torch
import torch.nn.functional as F
from torch import nn

from move37.arch_templates.ops import ShortConvolution

BLOCK = 32


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.key = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        length, padding = v.shape[1], -v.shape[1] % BLOCK
        values = F.pad(v, (0, 0, 0, padding)).unflatten(1, (-1, BLOCK))
        keys = F.pad(self.key(x), (0, 0, 0, padding)).unflatten(1, (-1, BLOCK))
        hidden = torch.ones(BLOCK, BLOCK, dtype=torch.bool, device=x.device).triu(2)
        scores = (keys @ keys.mT / keys.shape[-1]).masked_fill(hidden, float("-inf"))
        mixed = (scores.softmax(-1) @ values).flatten(1, 2)[:, :length]
        return self.out(v + mixed), state
