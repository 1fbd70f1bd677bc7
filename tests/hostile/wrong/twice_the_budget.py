# does: mixes through a hidden layer that makes it more than twice as large as DeltaNet
# expect: gate G15
# policy: passes
# only: G15
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, 6 * hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(6 * hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(x, state)
        return self.out(nn.functional.silu(self.value(v))), state
