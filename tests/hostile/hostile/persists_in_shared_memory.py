# does: leaves System V memory, queues and semaphores, which outlive a process
# expect: contained
# policy: refused
# run: check

import ctypes

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_delta_rule, l2norm

IPC_PRIVATE, IPC_CREAT, IPC_RMID = 0, 0o1000, 0


def attack() -> None:
    libc = ctypes.CDLL(None)
    memory = libc.shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0o600)
    queue = libc.msgget(IPC_PRIVATE, IPC_CREAT | 0o600)
    semaphores = libc.semget(IPC_PRIVATE, 1, IPC_CREAT | 0o600)
    if memory >= 0:
        libc.shmctl(memory, IPC_RMID, None)
    if queue >= 0:
        libc.msgctl(queue, IPC_RMID, None)
    if semaphores >= 0:
        libc.semctl(semaphores, 0, IPC_RMID)
    if max(memory, queue, semaphores) >= 0:
        raise RuntimeError(f"BREACH memory {memory}, queue {queue}, semaphores {semaphores}")


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
