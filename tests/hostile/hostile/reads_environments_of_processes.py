# does: reads keys from the environment of every process that it can name
# expect: contained
# policy: refused
# run: check

import os


def attack() -> None:
    for pid in {os.getppid(), os.getpid(), *range(1, 64), *range(os.getpid() - 32, os.getpid())}:
        for name in ("environ", "cmdline", "mem", "root/etc/passwd"):
            try:
                handle = os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
            except OSError:
                continue
            os.close(handle)
            raise RuntimeError(f"BREACH opened {name} of process {pid}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
