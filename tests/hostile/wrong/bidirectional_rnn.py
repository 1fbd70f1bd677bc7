# does: runs a second recurrent network from the end to the start
# expect: gate G1
# policy: passes
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.filter = ShortConvolution(hidden_size)
        half = hidden_size // 2
        self.rnn = nn.RNN(hidden_size, half, batch_first=True, bidirectional=True)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(x, state)
        return self.out(v + self.rnn(v)[0]), state
