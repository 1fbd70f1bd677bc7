# does: divides linear attention by the sum of its weights, which its state holds as a column
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
        self.filter = ShortConvolution(hidden_size)
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        last, memory = (None, None) if state is None else state
        u, last = self.filter(x, last)
        q, k, v = self.qkv(u).unflatten(2, (3, self.num_heads, -1)).unbind(2)
        q, k = F.elu(q) + 1.01, F.elu(k) + 1.01
        counted = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
        o, memory = chunk_simple_gla(q, k, counted, initial_state=memory, output_final_state=True)
        return self.out((o[..., :-1] / o[..., -1:]).flatten(2)), (last, memory)
