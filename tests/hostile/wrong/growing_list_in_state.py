# does: appends the summary of each call to a list in its state
# expect: gate G14
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
        v = self.value(x)
        sums = v.cumsum(1)
        past = state or []
        for part in past:
            sums = sums + part
        return self.out(self.norm(sums)), [*past, v.sum(1, keepdim=True)]
