# does: talks to services of the host through socket files
# expect: contained
# policy: refused
# run: check

import contextlib
import os
import socket

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_delta_rule, l2norm

SERVICES = ("/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/dev/log")


def attack() -> None:
    for path in (*SERVICES, "/tmp/.X11-unix/X0", "/run/containerd/containerd.sock"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            raise RuntimeError(f"BREACH connected to {path}")
    for folder in (".", "/tmp", "/dev/shm"):
        path = f"{folder}/move37.sock"
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            os.unlink(path)
            raise RuntimeError(f"BREACH listens at {path}")


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
