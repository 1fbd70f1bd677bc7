# does: visits every pair of blocks of 16 in a Python loop, to sum what its state already holds
# expect: gate G13
# policy: passes
import torch
from torch import nn

from move37.arch_templates.ops import RMSNorm

BLOCK = 16


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.norm = RMSNorm(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        start = x.new_zeros(x.shape[0], 1, x.shape[2]) if state is None else state
        blocks = self.value(x).split(BLOCK, dim=1)
        totals = [block.sum(1, keepdim=True) for block in blocks]
        sums = []
        for i, block in enumerate(blocks):
            before = start
            for j in range(i):
                before = before + totals[j]
            sums.append(before + block.cumsum(1))
        total = torch.cat(sums, dim=1)
        return self.out(self.norm(total)), total[:, -1:]
