# does: refines to a fixed point in a number of rounds that grows with the square root of T
# expect: gate G13
# policy: passes
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.inner = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        z = v
        for _ in range(8 + int(x.shape[1] ** 0.5) // 2):
            z = v + 0.01 * self.inner(z).tanh()
        return self.out(z), state
