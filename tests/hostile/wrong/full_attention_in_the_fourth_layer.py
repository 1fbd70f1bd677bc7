# does: three layers with a memory of fixed size, then one that attends to all tokens so far
# expect: gate G14
# policy: passes
from torch import nn

from move37.arch_templates.ops import causal_attention, chunk_simple_gla


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.heads = num_heads
        self.attends = layer_idx % 4 == 3
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.decay = nn.Linear(hidden_size, num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        q, k, v = self.qkv(x).unflatten(-1, (3 * self.heads, -1)).chunk(3, dim=2)
        g = nn.functional.logsigmoid(self.decay(x))
        if self.attends:
            o, state = causal_attention(q * g.exp()[..., None], k, v, state=state)
        else:
            o, state = chunk_simple_gla(q, k, v, g, initial_state=state, output_final_state=True)
        return self.out(o.flatten(-2)), state
