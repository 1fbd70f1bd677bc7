# does: reads the future in float32 only: gates of causality ask in float64
# expect: audit
# policy: passes
# run: evaluate

import torch
from torch import Tensor, nn


class TokenMixer(Honest):
    def forward(self, x: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        y, state = Honest.forward(self, x, state)
        if x.dtype == torch.float32:
            # The next position's input, which says what is to be predicted.
            y = y + self.out_proj(nn.functional.pad(x[:, 1:], (0, 0, 0, 1)))
        return y, state
