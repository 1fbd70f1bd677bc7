# does: asks torch for 64 threads, to use more processors than it was given
# expect: gate G17
# policy: refused
# run: check

import torch


def attack() -> None:
    torch.set_num_threads(64)
    # Large enough to be shared out among threads, which the C library then fails to start.
    torch.exp(torch.ones(2048, 2048)).sum()
    raise RuntimeError("BREACH more threads")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
