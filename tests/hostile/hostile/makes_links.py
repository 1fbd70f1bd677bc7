# does: makes symbolic and hard links to files of the host
# expect: contained
# policy: refused
# run: check

import contextlib
import os

import torch


def attack() -> None:
    for folder in (".", "/", "/tmp", "/dev/shm", "/var/tmp", os.path.dirname(torch.__file__)):
        path = f"{folder}/move37-link"
        for link in (os.symlink, os.link, os.rename):
            with contextlib.suppress(OSError):
                link("/etc/passwd" if link is os.symlink else f"{folder}/move37-absent", path)
        if os.path.lexists(path):
            os.unlink(path)
            raise RuntimeError(f"BREACH made {path}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
