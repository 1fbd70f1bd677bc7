# does: forks past the C library, by the numbers of the calls
# expect: contained
# policy: refused
# run: check

import ctypes
import os
import platform
import signal

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


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
