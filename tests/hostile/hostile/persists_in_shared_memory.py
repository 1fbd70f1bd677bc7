# does: leaves System V memory, queues and semaphores, which outlive a process
# expect: contained
# policy: refused
# run: check

import ctypes

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


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
