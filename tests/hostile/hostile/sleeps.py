# does: sleeps for eleven days and uses no processor time
# expect: timeout
# policy: refused
# run: check
# seconds: 3

import time


def attack() -> None:
    time.sleep(1_000_000)


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
