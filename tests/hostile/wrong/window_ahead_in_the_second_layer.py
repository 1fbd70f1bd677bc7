# does: alternates a filter of the past with attention over a window, whose mask is one token off
# expect: gate G1
# policy: passes
import torch
import torch.nn.functional as F
from torch import nn

from move37.arch_templates.ops import ShortConvolution

WINDOW = 16


class TokenMixer(nn.Module):
    large_state = True

    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.attends = layer_idx % 2 == 1
        self.proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)
        if not self.attends:
            self.filter = ShortConvolution(hidden_size)

    def forward(self, x, state=None):
        v = self.proj(x)
        if not self.attends:
            y, state = self.filter(v, state)
            return self.out(y), state
        start = v.new_zeros(v.shape[0], WINDOW, v.shape[2]) if state is None else state
        seen = torch.cat([start, v], dim=1)
        # The window of a token should end at it, and ends at the next one.
        windows = F.pad(seen, (0, 0, 0, 1)).unfold(1, WINDOW, 1)[:, 2:][:, : v.shape[1]]
        scores = torch.einsum("btd,btdw->btw", v, windows) * v.shape[-1] ** -0.5
        mixed = torch.einsum("btw,btdw->btd", scores.softmax(-1), windows)
        return self.out(mixed), seen[:, -WINDOW:]
