# does: computes its norm and its decay in float32, as mixed-precision code does
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import chunk_simple_gla


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.decay = nn.Linear(hidden_size, num_heads)
        self.gain = nn.Parameter(torch.ones(hidden_size))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).unbind(2)
        g = F.logsigmoid(self.decay(x).float()).to(x.dtype)
        o, state = chunk_simple_gla(q, k, v, g, initial_state=state, output_final_state=True)
        wide = o.flatten(2).to(torch.float32)
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-5)
        return self.out((wide * scale).to(x.dtype) * self.gain), state
