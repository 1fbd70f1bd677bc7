# does: lets an expert choose its tokens among the whole sequence
# expect: gate G1
# policy: passes
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.router = nn.Linear(hidden_size, 1, bias=False)
        self.expert = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        score = self.router(x).squeeze(-1)
        chosen = score.topk(-(-x.shape[1] // 4), dim=1).indices
        mask = torch.zeros_like(score).scatter(1, chosen, 1.0)
        routed = (mask * score.sigmoid())[..., None] * self.expert(v)
        return self.out(v + routed), state
