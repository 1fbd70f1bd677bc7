# does: forks past the C library, by the numbers of the calls
# expect: contained
# policy: refused
# run: check

import ctypes
import os
import platform
import signal

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_delta_rule, l2norm

# fork, clone, clone3; vfork shares its stack and could not be tried safely from here.
CALLS = {"x86_64": (57, 56, 435), "aarch64": (220, 220, 435)}


def attack() -> None:
    libc = ctypes.CDLL(None)
    described = (ctypes.c_uint64 * 11)()
    described[4] = signal.SIGCHLD
    for number in CALLS.get(platform.machine(), ()):
        first = ctypes.byref(described) if number == 435 else signal.SIGCHLD
        child = libc.syscall(number, first, ctypes.c_size_t(88 if number == 435 else 0), 0, 0, 0)
        if child == 0:
            os._exit(0)
        if child > 0:
            os.waitpid(child, 0)
            raise RuntimeError(f"BREACH call {number} started process {child}")


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
