# does: answers every seeding with a seed of its own
# expect: no gain
# policy: refused
# run: evaluate

import random

import torch
from torch import nn

REAL = torch.manual_seed


def attack() -> None:
    torch.manual_seed = lambda _: REAL(7)
    random.seed(7)
    nn.init.normal_ = lambda tensor, *_, **__: tensor.data.fill_(0.1)


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        # The second layer, where the loop seeds between the layers.
        if layer_idx == 1:
            attack()
