# does: filters with a window centred on the token, so it sees one token ahead
# expect: gate G1
# policy: passes
import torch.nn.functional as F
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
        v = F.avg_pool1d(v.mT, 3, stride=1, padding=1).mT
        return self.out(v), state
