# does: becomes root of a user namespace of its own
# expect: contained
# policy: refused
# run: check

import ctypes

# User, mount, process, network: a new user namespace gives every right inside.
FLAGS = (0x10000000, 0x00020000, 0x20000000, 0x40000000)


def attack() -> None:
    libc = ctypes.CDLL(None)
    for flag in FLAGS:
        if libc.unshare(flag) == 0:
            raise RuntimeError(f"BREACH a namespace of its own, {flag:#x}")
    for fd in range(64):
        if libc.setns(fd, 0) == 0:
            raise RuntimeError(f"BREACH entered the namespace of descriptor {fd}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
