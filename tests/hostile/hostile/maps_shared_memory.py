# does: asks for 64 GiB of shared memory, which limits of data do not count
# expect: contained
# policy: refused
# run: check

import ctypes

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_delta_rule, l2norm

PROT, MAP_ANONYMOUS, MAP_NORESERVE = 3, 0x20, 0x4000
MAP_SHARED = 1


def attack() -> None:
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE
    # Untouched pages cost nothing where they are granted.
    granted = libc.mmap(None, ctypes.c_size_t(64 << 30), PROT, flags, -1, ctypes.c_long(0))
    if granted not in (None, ctypes.c_void_p(-1).value):
        libc.munmap(ctypes.c_void_p(granted), ctypes.c_size_t(64 << 30))
        raise RuntimeError("BREACH 64 GiB of address space")


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
