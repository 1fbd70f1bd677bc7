# does: finds out which processes the machine runs
# expect: contained
# policy: refused
# run: check

import os

# A box sees process 1, the warm parent and other boxes at most; a machine has more sessions.
FEW = 3


def attack() -> None:
    sessions = set()
    for pid in range(1, 100_000):
        try:
            sessions.add(os.getsid(pid))
        except OSError:
            continue
    if len(sessions) > FEW:
        raise RuntimeError(f"BREACH sees {len(sessions)} sessions of processes")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
