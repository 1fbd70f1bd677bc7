# does: computes linear attention, whose state is small, by the whole [T, T] matrix of scores
# expect: gate G13
# policy: passes
# only: G13
from torch import nn

from move37.arch_templates.ops import RMSNorm


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.norm = RMSNorm(hidden_size // num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        o = (q @ k.mT).tril() @ v
        memory = k.mT @ v
        if state is not None:
            o, memory = o + q @ state, memory + state
        return self.out(self.norm(o).transpose(1, 2).flatten(2)), memory
