# does: leaves a daemon behind by two forks and a session of its own
# expect: contained
# policy: refused
# run: check

import os
import time


def attack() -> None:
    try:
        child = os.fork()
    except OSError:
        return
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(5)
        os._exit(0)
    os.waitpid(child, 0)
    raise RuntimeError("BREACH a daemon in a session of its own")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
