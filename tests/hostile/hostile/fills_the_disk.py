# does: writes large files wherever a file can be made
# expect: contained
# policy: refused
# run: check

import os

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_delta_rule, l2norm

FOLDERS = (".", "/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/w", "/root", "/home", "/empty")


def attack() -> None:
    for folder in FOLDERS:
        path = f"{folder}/move37-fill"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except OSError:
            continue
        try:
            written = sum(os.write(handle, bytes(1 << 20)) for _ in range(64))
        except OSError:
            written = os.fstat(handle).st_size
        os.close(handle)
        os.unlink(path)
        raise RuntimeError(f"BREACH wrote {written} bytes to {folder}")


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
