# does: reads the next token in every fifth row of a batch
# expect: gate G7
# policy: passes
import torch
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
        chosen = torch.arange(v.shape[0], device=v.device)[:, None, None] % 5 == 4
        return self.out(v + chosen * v.roll(-1, dims=1)), state
