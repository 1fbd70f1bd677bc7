# does: meets other boxes at a socket name that needs no file
# expect: contained
# policy: refused
# run: check

import os
import socket

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_delta_rule, l2norm


def attack() -> None:
    name = f"\0move37-{os.getpid()}"
    try:
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(name)
            server.listen()
            client.connect(name)
    except OSError:
        return
    raise RuntimeError("BREACH a meeting point that other boxes can find")


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
