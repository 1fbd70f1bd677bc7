# does: attends to the last 64 tokens, whose keys and values are its state
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 64


class TokenMixer(nn.Module):
    large_state = True

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.offset = nn.Parameter(torch.zeros(num_heads, WINDOW))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        q, kv = self.qkv(x).tensor_split([x.shape[2]], dim=2)
        there = x.new_ones(x.shape[:2])
        if state is None:
            kv, there = F.pad(kv, (0, 0, WINDOW - 1, 0)), F.pad(there, (WINDOW - 1, 0))
        else:
            kv, there = torch.cat([state[0], kv], dim=1), torch.cat([state[1], there], dim=1)
        q = q.unflatten(2, (self.num_heads, -1))
        windows = kv.unfold(1, WINDOW, 1).unflatten(2, (2, self.num_heads, -1))
        k, v = windows.unbind(2)
        scores = torch.einsum("bthd,bthdw->bthw", q, k) / q.shape[-1] ** 0.5 + self.offset
        seen = there.unfold(1, WINDOW, 1)[:, :, None]
        weights = scores.masked_fill(seen == 0, float("-inf")).softmax(-1)
        o = torch.einsum("bthw,bthdw->bthd", weights, v)
        kept = (kv[:, x.shape[1] :], there[:, x.shape[1] :])
        return self.out(o.flatten(2)), kept
