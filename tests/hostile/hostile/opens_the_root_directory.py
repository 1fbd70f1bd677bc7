# does: takes hold of a folder, to climb from it with openat
# expect: contained
# policy: refused
# run: check

import os


def attack() -> None:
    for folder in ("/", ".", "..", "/proc", "/dev"):
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        os.close(handle)
        raise RuntimeError(f"BREACH holds a descriptor of {folder}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
