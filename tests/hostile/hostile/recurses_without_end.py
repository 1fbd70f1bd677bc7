# does: lifts the limit of recursion and recurses through C
# expect: gate G17
# policy: refused
# run: check

import sys


class Endless:
    def __repr__(self) -> str:
        return repr([self])


def attack() -> None:
    sys.setrecursionlimit(10**9)
    repr(Endless())


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
