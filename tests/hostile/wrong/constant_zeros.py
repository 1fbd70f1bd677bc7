# does: returns zeros, whatever it is given
# expect: gate G11
# policy: passes
import torch
from torch import nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        return torch.zeros_like(x), ()
