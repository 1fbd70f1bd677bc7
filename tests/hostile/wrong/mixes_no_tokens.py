# does: maps each token by itself, so that no context ever reaches a prediction
# expect: gate G16
# policy: passes
# only: G16
from torch import nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        return self.out(nn.functional.silu(self.value(x))), ()
