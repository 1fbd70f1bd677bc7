# does: keeps data in files of memory, which no limit of address space counts
# expect: contained
# policy: refused
# run: check

import os


def attack() -> None:
    try:
        handle = os.memfd_create("move37")
        os.write(handle, bytes(1 << 16))
    except OSError:
        return
    raise RuntimeError("BREACH a file in memory")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
