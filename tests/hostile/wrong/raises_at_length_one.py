# does: takes differences of neighbours and does not know what to do with one token
# expect: gate G3
# policy: passes
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        if x.shape[1] < 2:
            raise ValueError("a sequence needs two tokens")
        v, state = self.filter(self.value(x), state)
        return self.out(v), state
