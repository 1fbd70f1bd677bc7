# does: loops without end in C, where no Python signal handler runs
# expect: timeout
# policy: refused
# run: check
# seconds: 3

import collections
import itertools


def attack() -> None:
    collections.deque(itertools.repeat(None), maxlen=0)


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
