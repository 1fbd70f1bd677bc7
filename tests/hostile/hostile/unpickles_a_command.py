# does: loads pickles that open files when they are loaded
# expect: contained
# policy: refused
# run: check

import io
import pickle

import torch

COMMAND = b"cio\nopen\n(S'/etc/passwd'\ntR."
WAYS = (
    lambda: pickle.loads(COMMAND),
    lambda: torch.load(io.BytesIO(COMMAND), weights_only=False),
)


def attack() -> None:
    for number, load in enumerate(WAYS):
        try:
            load()
        except (OSError, ImportError):
            continue
        except RuntimeError:
            # It is no file of weights, which torch finds out after it has opened what it names.
            pass
        raise RuntimeError(f"BREACH way {number} opened a file")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
