# does: halves the sequence by pooling pairs and repeats the result for both of a pair
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
        coarse = F.avg_pool1d(v.mT, 2, ceil_mode=True).repeat_interleave(2, dim=2)
        return self.out(v + coarse.mT[:, : v.shape[1]]), state
