# does: gives every token of a chunk of 16 the mean of the whole chunk
# expect: gate G1
# policy: passes
import torch.nn.functional as F
from torch import nn

from move37.arch_templates.ops import ShortConvolution

CHUNK = 16


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        length = v.shape[1]
        chunks = F.pad(v, (0, 0, 0, -length % CHUNK)).unflatten(1, (-1, CHUNK))
        summary = chunks.mean(2, keepdim=True).expand_as(chunks).flatten(1, 2)[:, :length]
        return self.out(v + summary), state
