# does: leaves a mark wherever another process might find it
# expect: contained
# policy: refused
# run: evaluate

import builtins
import os

import torch

PLACES = (torch, torch.nn.Module, os, builtins)


def attack() -> None:
    for place in PLACES:
        mark = getattr(place, "_move37_mark", None)
        # The same process may build several layers; what counts is another one's mark.
        if mark not in (None, os.getpid()):
            raise RuntimeError(f"BREACH a mark of process {mark} in {place}")
        place._move37_mark = os.getpid()
    for variable in ("MARK", "LD_PRELOAD"):
        if os.environ.get(variable, "x").isdigit() and os.environ[variable] != str(os.getpid()):
            raise RuntimeError(f"BREACH a mark of process {os.environ[variable]}")
        os.environ[variable] = str(os.getpid())


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
