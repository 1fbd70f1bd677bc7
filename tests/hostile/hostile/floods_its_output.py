# does: writes 30 MB of output and stretches the log to a terabyte
# expect: contained
# policy: refused
# run: check

import os
import signal

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_delta_rule, l2norm

ALLOWED = 2 << 20


def attack() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    accepted = 0
    for fd in (1, 2):
        for _ in range(30):
            try:
                accepted += os.write(fd, b"x" * (1 << 20))
            except OSError:
                break
    try:
        os.ftruncate(1, 1 << 40)
    except OSError:
        size = os.fstat(1).st_size
    else:
        size = 1 << 40
    if max(accepted, size) > ALLOWED:
        raise RuntimeError(f"BREACH {accepted} bytes of output were taken, the log has {size}")


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
