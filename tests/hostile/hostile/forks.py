# does: forks in a loop, each child doing the same
# expect: contained
# policy: refused
# run: check

import os


def attack() -> None:
    children = []
    try:
        for _ in range(64):
            if (child := os.fork()) == 0:
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    for child in children:
        os.waitpid(child, 0)
    if children:
        raise RuntimeError(f"BREACH forked {len(children)} times")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
