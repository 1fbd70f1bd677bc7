# does: decays each key channel at its own pace, computed in chunks of sixteen
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import RMSNorm

CHUNK = 16
# Sixteen tokens at the fastest pace stay far inside the range of exp.
FASTEST = -1.0


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.decay = nn.Linear(hidden_size, hidden_size)
        self.norm = RMSNorm(hidden_size // num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        g = FASTEST * torch.sigmoid(self.decay(x))
        packed = torch.cat([self.qkv(x), g], dim=2).unflatten(2, (4, self.num_heads, -1))
        width = packed.shape[-1]
        if state is None:
            state = x.new_zeros(x.shape[0], self.num_heads, width, width)
        outputs = []
        for chunk in packed.permute(2, 0, 3, 1, 4).split(CHUNK, dim=3):
            o, state = advance(*chunk, state)
            outputs.append(o)
        o = torch.cat(outputs, dim=2).transpose(1, 2)
        return self.out(F.silu(self.norm(o)).flatten(2)), state


def advance(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Read and write one chunk: q, k, v, g are [B, H, C, D], the state [B, H, D, D]."""
    total = g.cumsum(2)
    last = total[:, :, -1:]
    reading, writing = q * total.exp(), k * (-total).exp()
    o = (reading @ writing.mT).tril() @ v + reading @ state
    kept = k * (last - total).exp()
    return o, last.exp().mT * state + kept.mT @ v
