# does: leaves a mark wherever another process might find it
# expect: contained
# policy: refused
# run: evaluate

import builtins
import os

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_delta_rule, l2norm

PLACES = (torch, torch.nn.Module, os, builtins)


def attack() -> None:
    for place in PLACES:
        mark = getattr(place, "_move37_mark", None)
        # The same process may build several layers; what counts is another one's mark.
        if mark not in (None, os.getpid()):
            raise RuntimeError(f"BREACH a mark of process {mark} in {place}")
        place._move37_mark = os.getpid()
    for variable in ("MARK", "LD_PRELOAD"):
        if os.environ.get(variable, "x").isdigit() and os.environ[variable] != str(os.getpid()):
            raise RuntimeError(f"BREACH a mark of process {os.environ[variable]}")
        os.environ[variable] = str(os.getpid())


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        attack()
        self.head_dim = hidden_size // num_heads
        self.qkv_proj = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.qkv_conv = ShortConvolution(3 * hidden_size, kernel_size=4, activation="silu")
        self.beta_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.gate_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.norm = RMSNorm(self.head_dim)
        self.out_proj = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        # DeltaNet as it stands, so that a difference in loss is the attack's.
        last, memory = state or (None, None)
        qkv, last = self.qkv_conv(self.qkv_proj(x), last)
        q, k, v = qkv.unflatten(-1, (-1, self.head_dim)).chunk(3, dim=2)
        beta = torch.sigmoid(self.beta_proj(x))
        o, memory = chunk_delta_rule(
            l2norm(q), l2norm(k), v, beta, 1.0, initial_state=memory, output_final_state=True
        )
        y = self.norm(o).flatten(-2) * nn.functional.silu(self.gate_proj(x))
        return self.out_proj(y), (last, memory)
