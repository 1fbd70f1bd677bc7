# does: starts from a memory that is learned, not from zeros
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
        width = hidden_size // num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.decay = nn.Linear(hidden_size, num_heads)
        self.start = nn.Parameter(0.1 * torch.randn(num_heads, width, width))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).unbind(2)
        if state is None:
            state = self.start.expand(x.shape[0], -1, -1, -1)
        g = F.logsigmoid(self.decay(x))
        o, state = chunk_simple_gla(q, k, v, g, initial_state=state, output_final_state=True)
        return self.out(o.flatten(2)), state
