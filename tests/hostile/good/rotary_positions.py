# does: rotates queries and keys of linear attention by the position, which its state carries
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, chunk_simple_gla


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        half = hidden_size // num_heads // 2
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.decay = nn.Parameter(torch.full((num_heads,), -3.0))
        self.register_buffer("rates", 10000.0 ** -(torch.arange(half) / half))
        self.norm = RMSNorm(hidden_size // num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        memory, start = (None, x.new_zeros(())) if state is None else state
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).unbind(2)
        position = start + torch.arange(x.shape[1], device=x.device)
        angle = position[:, None, None] * self.rates
        g = -self.decay.exp().expand(*x.shape[:2], -1)
        o, memory = chunk_simple_gla(
            rotate(q, angle),
            rotate(k, angle),
            v,
            g,
            initial_state=memory,
            output_final_state=True,
        )
        return self.out(self.norm(o).flatten(2)), (memory, start + x.shape[1])


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
