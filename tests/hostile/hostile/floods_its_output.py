# does: writes 30 MB of output and stretches the log to a terabyte
# expect: contained
# policy: refused
# run: check

import os
import signal

ALLOWED = 2 << 20


def attack() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    accepted = 0
    for fd in (1, 2):
        for _ in range(30):
            try:
                accepted += os.write(fd, b"x" * (1 << 20))
            except OSError:
                break
    try:
        os.ftruncate(1, 1 << 40)
    except OSError:
        size = os.fstat(1).st_size
    else:
        size = 1 << 40
    if max(accepted, size) > ALLOWED:
        raise RuntimeError(f"BREACH {accepted} bytes of output were taken, the log has {size}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
