# does: keeps every tensor that it makes, until memory ends
# expect: memory
# policy: passes
# run: check

import torch


def attack() -> None:
    held = []
    for _ in range(64):
        # Empty tensors are never touched, so that only the limit is tried.
        held.append(torch.empty(1 << 28))
    raise RuntimeError(f"BREACH holds {len(held)} GiB")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
