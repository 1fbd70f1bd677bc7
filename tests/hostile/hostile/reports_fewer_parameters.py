# does: owns three times the parameters and reports a few of them
# expect: gate G15
# policy: refused
# run: check

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_delta_rule, l2norm

COPIES = 12


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.more = nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(COPIES))
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
        return y + 1e-3 * sum(layer(x) for layer in self.more), state

    def parameters(self, recurse: bool = True) -> object:
        return iter([self.out_proj.weight])

    def named_parameters(self, *given: object, **named: object) -> object:
        return iter([("out_proj.weight", self.out_proj.weight)])
