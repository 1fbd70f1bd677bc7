# does: changes root, host name and mounts
# expect: contained
# policy: refused
# run: check

import ctypes
import os
import socket

MS_BIND = 4096


def attack() -> None:
    libc = ctypes.CDLL(None)
    for name, way in (
        ("chroot", lambda: os.chroot("/")),
        ("sethostname", lambda: socket.sethostname(socket.gethostname())),
        ("mount", lambda: 1 // (libc.mount(b"/", b"/", None, MS_BIND, None) == 0)),
        ("umount", lambda: 1 // (libc.umount2(b"/proc", 2) == 0)),
    ):
        try:
            way()
        except (OSError, ZeroDivisionError):
            continue
        raise RuntimeError(f"BREACH {name}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
