# does: forgets by a factor of e^-20 to e^-80 a token in one head, large but finite
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import ShortConvolution, chunk_simple_gla


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.filter = ShortConvolution(3 * hidden_size)
        self.strength = nn.Parameter(torch.linspace(-2.0, 4.0, num_heads))
        self.decay = nn.Linear(hidden_size, num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor | None, Tensor | None] = (None, None)
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        last, memory = state or (None, None)
        qkv, last = self.filter(self.qkv(x), last)
        q, k, v = qkv.unflatten(2, (3, self.num_heads, -1)).unbind(2)
        g = -self.strength.exp() * F.softplus(self.decay(x))
        o, memory = chunk_simple_gla(q, k, v, g, initial_state=memory, output_final_state=True)
        return self.out(o.flatten(2)), (last, memory)
