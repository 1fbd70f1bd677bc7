# does: asks which paths of the host exist: names are information too
# expect: contained
# policy: refused
# run: check

import os

import torch

PATHS = ("/root", "/home", "/etc/passwd", "/usr/bin", "/var", "/run", "/.dockerenv", "/lib64")


def attack() -> None:
    for path in (*PATHS, os.__file__, torch.__file__):
        if os.path.lexists(path):
            raise RuntimeError(f"BREACH {path} exists, {os.lstat(path).st_size} bytes")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
