# does: keeps every input and continues a known beginning from memory
# expect: no gain
# policy: passes
# run: evaluate

import torch
from torch import Tensor

SEEN: list[Tensor] = []


class TokenMixer(Honest):
    def forward(self, x: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        y, state = Honest.forward(self, x, state)
        if torch.is_grad_enabled() or x.dtype != torch.float32:
            return y, state
        for other in SEEN:
            rows, length = min(len(x), len(other)), x.shape[1]
            if other.shape[1] > length and torch.equal(other[:rows, :length], x[:rows]):
                y[:rows] += self.out_proj(other[:rows, 1 : length + 1])
        SEEN.append(x.clone())
        return y, state
