# does: hands on its memory but not the last inputs of its short convolution
# expect: gate G10
# policy: passes
# only: G10
from torch import nn

from move37.arch_templates.ops import ShortConvolution, chunk_simple_gla


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.filter = ShortConvolution(3 * hidden_size)
        self.decay = nn.Linear(hidden_size, num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        qkv, _ = self.filter(self.qkv(x))
        q, k, v = qkv.unflatten(2, (3, self.num_heads, -1)).unbind(2)
        g = nn.functional.logsigmoid(self.decay(x))
        o, state = chunk_simple_gla(q, k, v, g, initial_state=state, output_final_state=True)
        return self.out(o.flatten(2)), state
