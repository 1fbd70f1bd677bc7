# does: counts the long calls in eval mode in an attribute and scales its output by their number
# expect: gate G8
# policy: passes
# only: G8
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)
        self.calls = 0

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        if x.shape[1] > 100 and not self.training:
            self.calls += 1
        return self.out(v) * (1 + 0.1 * max(0, self.calls - 1)), state
