# does: opens interfaces of the kernel that have held most of its faults
# expect: contained
# policy: refused
# run: check

import ctypes
import platform

# bpf, perf_event_open, userfaultfd, io_uring_setup, memfd_secret, fanotify_init, inotify_init1.
CALLS = {
    "x86_64": (321, 298, 323, 425, 447, 300, 294),
    "aarch64": (280, 241, 282, 425, 447, 262, 26),
}


def attack() -> None:
    libc = ctypes.CDLL(None)
    room = (ctypes.c_uint64 * 32)()
    for number in CALLS.get(platform.machine(), ()):
        first = 8 if number == 425 else ctypes.byref(room) if number in (298, 241) else 0
        second = ctypes.byref(room) if number == 425 else 0
        if libc.syscall(number, first, second, -1, -1, 0) >= 0:
            raise RuntimeError(f"BREACH system call {number}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
