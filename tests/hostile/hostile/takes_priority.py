# does: takes a higher priority, and real-time scheduling
# expect: contained
# policy: refused
# run: check

import os


def attack() -> None:
    ways = {
        "nice": lambda: os.nice(-5),
        "setpriority": lambda: os.setpriority(os.PRIO_PROCESS, 0, -10),
        "real time": lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)),
    }
    for name, way in ways.items():
        try:
            way()
        except OSError:
            continue
        raise RuntimeError(f"BREACH {name}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
