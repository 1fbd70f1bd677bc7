# does: opens files of the host by four ways of reading
# expect: contained
# policy: refused
# run: check

import io
import os
import sys

import numpy as np
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_delta_rule, l2norm

PATHS = ("/etc/passwd", "/etc/hostname", "/proc/version", "/etc/ld.so.cache", sys.executable)
WAYS = (
    lambda path: io.FileIO(path).read(1),
    lambda path: os.read(os.open(path, os.O_RDONLY), 1),
    lambda path: np.fromfile(path, np.uint8, 1),
    lambda path: torch.from_file(path, size=1, dtype=torch.uint8),
)


def attack() -> None:
    for path in PATHS:
        for read in WAYS:
            try:
                read(path)
            except (OSError, RuntimeError):
                continue
            raise RuntimeError(f"BREACH read {path}")


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
