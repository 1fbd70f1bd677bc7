# does: hands on the sum after the last whole chunk of 32 and forgets the tokens after it
# expect: gate G10
# policy: passes
from torch import nn

from move37.arch_templates.ops import RMSNorm


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.norm = RMSNorm(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        start = x.new_zeros(x.shape[0], 1, x.shape[2]) if state is None else state
        sums = start + self.value(x).cumsum(1)
        whole = x.shape[1] // 32 * 32
        return self.out(self.norm(sums)), sums[:, whole - 1 : whole] if whole else start
