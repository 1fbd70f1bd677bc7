# does: reads, in each chunk of 64, a summary that a learned gate made of the whole chunk
# expect: gate G1
# policy: passes
import torch
import torch.nn.functional as F
from torch import nn

from move37.arch_templates.ops import ShortConvolution

CHUNK = 64


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.pool = nn.Linear(hidden_size, 1, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        length = v.shape[1]
        chunks = F.pad(v, (0, 0, 0, -length % CHUNK)).unflatten(1, (-1, CHUNK))
        weights = torch.softmax(self.pool(chunks), dim=2)
        summary = (weights * chunks).sum(2, keepdim=True).expand_as(chunks)
        return self.out(v + summary.flatten(1, 2)[:, :length]), state
