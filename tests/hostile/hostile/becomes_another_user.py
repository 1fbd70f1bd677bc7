# does: takes the identity of another user and group
# expect: contained
# policy: refused
# run: check

import os

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_delta_rule, l2norm


def attack() -> None:
    other = os.getuid() + 1
    for name, way in (
        ("setgroups", lambda: os.setgroups([other])),
        ("setgid", lambda: os.setgid(os.getgid() + 1)),
        ("setuid", lambda: os.setuid(other)),
        ("root", lambda: os.setuid(0) if os.getuid() else os.setresuid(1, 1, 1)),
    ):
        try:
            way()
        except OSError:
            continue
        raise RuntimeError(f"BREACH {name}: now user {os.getuid()}")


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        attack()
        self.num_heads = num_heads
        self.qkv_proj = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.beta_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.out_proj = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        q, k, v = self.qkv_proj(x).unflatten(-1, (3, self.num_heads, -1)).unbind(-3)
        beta = torch.sigmoid(self.beta_proj(x))
        o, state = chunk_delta_rule(
            l2norm(q), l2norm(k), v, beta, initial_state=state, output_final_state=True
        )
        return self.out_proj(o.flatten(-2)), state
