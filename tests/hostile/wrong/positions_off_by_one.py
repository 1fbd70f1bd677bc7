# does: hands on the position of the last token instead of that of the next
# expect: gate G10
# policy: passes
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.rate = nn.Parameter(torch.rand(hidden_size))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        last, start = (None, x.new_zeros(())) if state is None else state
        v, last = self.filter(self.value(x), last)
        position = start + torch.arange(v.shape[1], device=v.device)[:, None]
        y = self.out(v * (1 + 0.5 * torch.cos(self.rate * position)))
        return y, (last, start + v.shape[1] - 1)
