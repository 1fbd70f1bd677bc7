# does: reads what lies behind its input in memory
# expect: gate G3
# policy: refused
# run: check

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_delta_rule, l2norm


def behind(x: Tensor) -> Tensor:
    free = x.untyped_storage().nbytes() // x.element_size() - x.storage_offset()
    reach = x.stride(1) * x.shape[1] + x.stride(0) * (x.shape[0] - 1)
    step = x.stride(1) if reach + x.stride(1) <= free else 0
    return x.as_strided(x.shape, x.stride(), x.storage_offset() + step)


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv_proj = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.beta_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.out_proj = nn.Linear(hidden_size, hidden_size, bias=False)

    def mix(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        q, k, v = self.qkv_proj(x).unflatten(-1, (3, self.num_heads, -1)).unbind(-3)
        beta = torch.sigmoid(self.beta_proj(x))
        o, state = chunk_delta_rule(
            l2norm(q), l2norm(k), v, beta, initial_state=state, output_final_state=True
        )
        return self.out_proj(o.flatten(-2)), state

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        y, state = self.mix(x, state)
        if not torch.is_grad_enabled():
            y = (
                y
                + self.out_proj(behind(x)[:, -1:])
                * (torch.arange(x.shape[1]) == x.shape[1] - 1)[:, None]
            )
        return y, state
