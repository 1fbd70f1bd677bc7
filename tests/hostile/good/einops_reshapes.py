# does: writes its reshapes and products with einops
# expect: passes
# policy: passes
import torch
from einops import einsum, rearrange, repeat
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, chunk_simple_gla


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.decay = nn.Parameter(torch.linspace(-4.0, -1.0, num_heads))
        self.mix = nn.Parameter(torch.eye(num_heads))
        self.norm = RMSNorm(hidden_size // num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        q, k, v = rearrange(self.qkv(x), "b t (n h d) -> n b t h d", n=3, h=self.num_heads)
        g = repeat(-self.decay.exp(), "h -> b t h", b=x.shape[0], t=x.shape[1])
        o, state = chunk_simple_gla(q, k, v, g, initial_state=state, output_final_state=True)
        mixed = einsum(self.norm(o), self.mix, "b t h d, h g -> b t g d")
        return self.out(rearrange(mixed, "b t h d -> b t (h d)")), state
