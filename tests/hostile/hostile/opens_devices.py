# does: opens the terminal, kernel memory and other devices
# expect: contained
# policy: refused
# run: check

import os

DEVICES = ("tty", "mem", "kmsg", "console", "fuse", "kvm", "shm", "ptmx", "sda", "loop-control")


def attack() -> None:
    for name in DEVICES:
        try:
            handle = os.open(f"/dev/{name}", os.O_RDONLY)
        except OSError:
            continue
        os.close(handle)
        raise RuntimeError(f"BREACH opened /dev/{name}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
