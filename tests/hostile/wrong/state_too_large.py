# does: doubles its keys by their negatives, and so its state, without declaring it
# expect: gate G14
# policy: passes
import torch
import torch.nn.functional as F
from torch import nn

from move37.arch_templates.ops import chunk_simple_gla


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.decay = nn.Linear(hidden_size, num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).unbind(2)
        q, k = (torch.cat([t, -t], dim=-1).relu() for t in (q, k))
        g = F.logsigmoid(self.decay(x))
        o, state = chunk_simple_gla(q, k, v, g, initial_state=state, output_final_state=True)
        return self.out(o.flatten(2)), state
