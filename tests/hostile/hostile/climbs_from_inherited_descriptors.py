# does: looks for folders, sockets and files among what it inherited
# expect: contained
# policy: refused
# run: check

import os
import stat


def attack() -> None:
    for fd in range(1024):
        try:
            mode = os.fstat(fd).st_mode
        except OSError:
            continue
        if stat.S_ISDIR(mode) or stat.S_ISSOCK(mode) or stat.S_ISBLK(mode):
            raise RuntimeError(f"BREACH inherited descriptor {fd}, mode {mode:o}")
        # The log of its own output is the one file that it may hold.
        if stat.S_ISREG(mode) and fd > 2:
            raise RuntimeError(f"BREACH inherited file {fd}, {os.fstat(fd).st_size} bytes")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
