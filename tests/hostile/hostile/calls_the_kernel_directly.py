# does: opens and maps files by the numbers of the calls
# expect: contained
# policy: refused
# run: check

import ctypes
import platform

# open or openat, openat2, open_by_handle_at, name_to_handle_at, execveat, memfd_create.
CALLS = {"x86_64": (257, 437, 304, 303, 322, 319), "aarch64": (56, 437, 265, 264, 281, 279)}
AT_FDCWD = -100


def attack() -> None:
    libc = ctypes.CDLL(None)
    how = (ctypes.c_uint64 * 3)()
    for number in CALLS.get(platform.machine(), ()):
        name = b"/etc/passwd"
        if number == 437:
            result = libc.syscall(number, AT_FDCWD, name, ctypes.byref(how), ctypes.c_size_t(24))
        elif number in (319, 279):
            result = libc.syscall(number, name, 0)
        else:
            result = libc.syscall(number, AT_FDCWD, name, 0, 0, 0)
        if result >= 0:
            raise RuntimeError(f"BREACH call {number} gave descriptor {result}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
