# does: returns a learned vector at every position, whatever it is given
# expect: gate G16
# policy: passes
import torch
from torch import nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.vector = nn.Parameter(torch.randn(hidden_size))

    def forward(self, x, state=None):
        return self.vector.expand_as(x), ()
