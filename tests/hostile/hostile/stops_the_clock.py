# does: replaces the clocks of its process, then loops
# expect: timeout
# policy: refused
# run: check
# seconds: 3

import time


def attack() -> None:
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        setattr(time, name, lambda: 0.0)
    while time.monotonic() < 1.0:
        pass


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
