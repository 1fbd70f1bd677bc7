# does: mixes each token with the one before it by learned shares, and keeps decayed sums
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import RMSNorm, chunk_simple_gla, token_shift


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.share = nn.Parameter(torch.rand(3, hidden_size))
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.key = nn.Linear(hidden_size, hidden_size, bias=False)
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.decay = nn.Parameter(torch.linspace(-5.0, 0.0, num_heads))
        self.norm = RMSNorm(hidden_size // num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        last, memory = (None, None) if state is None else state
        before, last = token_shift(x, last)
        mixed = [torch.lerp(before, x, share) for share in self.share]
        q = self.query(mixed[0]).unflatten(2, (self.num_heads, -1))
        k = self.key(mixed[1]).unflatten(2, (self.num_heads, -1))
        v = self.value(mixed[2]).unflatten(2, (self.num_heads, -1))
        g = -self.decay.exp().expand(*x.shape[:2], -1)
        o, memory = chunk_simple_gla(q, k, v, g, initial_state=memory, output_final_state=True)
        return self.out(F.silu(self.norm(o)).flatten(2)), (last, memory)
