# does: hides padded positions from its output, but filters over what stands in them
# expect: gate G9
# policy: passes
# only: G9
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None, attention_mask=None):
        v, state = self.filter(self.value(x), state)
        if attention_mask is not None:
            v = v * attention_mask[..., None]
        return self.out(v), state
