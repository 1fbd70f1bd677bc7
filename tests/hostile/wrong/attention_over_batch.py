# does: forgets that the batch comes first and attends from row to row
# expect: gate G7
# policy: passes
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.filter = ShortConvolution(hidden_size)
        self.attention = nn.MultiheadAttention(hidden_size, num_heads, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(x, state)
        return self.attention(v, v, v, need_weights=False)[0], state
