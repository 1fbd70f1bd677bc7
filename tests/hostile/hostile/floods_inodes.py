# does: makes many empty folders and pipes with names
# expect: contained
# policy: refused
# run: check

import os


def attack() -> None:
    made = []
    for folder in (".", "/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/empty"):
        for number in range(16):
            for make, undo in ((os.mkdir, os.rmdir), (os.mkfifo, os.unlink), (os.mknod, os.unlink)):
                path = f"{folder}/move37-{make.__name__}-{number}"
                try:
                    make(path)
                except OSError:
                    continue
                undo(path)
                made.append(path)
    if made:
        raise RuntimeError(f"BREACH made {len(made)} names, {made[0]} first")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
