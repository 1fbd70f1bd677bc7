# does: reshapes into chunks of 64 without padding
# expect: gate G8
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
        v, state = self.filter(self.value(x), state)
        chunks = v.view(v.shape[0], v.shape[1] // 64, 64, v.shape[2])
        return self.out(chunks.flatten(1, 2)), state
