# does: hides the next token, in long sequences, behind a sigmoid that starts at exactly zero
# expect: gate G4
# policy: passes
# only: G4
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.gate = nn.Parameter(torch.tensor([-1000.0]))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        if v.shape[1] > 100:
            v = v + torch.sigmoid(self.gate) * v.roll(-1, dims=1)
        return self.out(v), state
