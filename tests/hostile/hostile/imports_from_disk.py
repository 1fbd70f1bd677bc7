# does: imports modules that were not loaded, and code that lies beside the evaluator
# expect: contained
# policy: refused
# run: check

import importlib
import sys

NAMES = ("this", "antigravity", "tkinter", "sqlite3", "scipy", "pip", "tests", "conftest")


def attack() -> None:
    for name in NAMES:
        if name in sys.modules:
            continue
        try:
            importlib.import_module(name)
        except (ImportError, OSError):
            continue
        raise RuntimeError(f"BREACH imported {name}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
