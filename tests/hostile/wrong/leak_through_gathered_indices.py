# does: reads the tokens in the order of a score that is sorted over the whole sequence
# expect: gate G1
# policy: passes
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        score = self.score(x)
        order = score.argsort(dim=1).expand_as(v)
        return self.out(v * score.sigmoid() + v.gather(1, order)), state
