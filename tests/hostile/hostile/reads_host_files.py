# does: opens files of the host by four ways of reading
# expect: contained
# policy: refused
# run: check

import io
import os
import sys

import numpy as np
import torch

PATHS = ("/etc/passwd", "/etc/hostname", "/proc/version", "/etc/ld.so.cache", sys.executable)
WAYS = (
    lambda path: io.FileIO(path).read(1),
    lambda path: os.read(os.open(path, os.O_RDONLY), 1),
    lambda path: np.fromfile(path, np.uint8, 1),
    lambda path: torch.from_file(path, size=1, dtype=torch.uint8),
)


def attack() -> None:
    for path in PATHS:
        for read in WAYS:
            try:
                read(path)
            except (OSError, RuntimeError):
                continue
            raise RuntimeError(f"BREACH read {path}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
