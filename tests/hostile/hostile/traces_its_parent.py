# does: attaches to its parent as a debugger does
# expect: contained
# policy: refused
# run: check

import ctypes
import os

# Seizing does not stop the process, and ends with this one.
PTRACE_SEIZE, PTRACE_TRACEME = 0x4206, 0


def attack() -> None:
    libc = ctypes.CDLL(None)
    for pid in {os.getppid(), 1} - {0}:
        if libc.ptrace(PTRACE_SEIZE, pid, None, None) == 0:
            raise RuntimeError(f"BREACH traces process {pid}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
