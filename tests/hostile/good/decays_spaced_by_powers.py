# does: fixes its decays at powers of two, one a head, in a buffer
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, chunk_simple_gla

HEADS = 8


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.register_buffer("log_decay", torch.log1p(-(2.0 ** -torch.arange(1.0, HEADS + 1))))
        self.norm = RMSNorm(hidden_size // HEADS)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        q, k, v = self.qkv(x).unflatten(2, (3, HEADS, -1)).unbind(2)
        g = self.log_decay.expand(*x.shape[:2], -1)
        o, state = chunk_simple_gla(q, k, v, g, initial_state=state, output_final_state=True)
        return self.out(self.norm(o).flatten(2)), state
