# does: reads what lies behind its input in memory
# expect: gate G3
# policy: refused
# run: check

import torch
from torch import Tensor


def behind(x: Tensor) -> Tensor:
    free = x.untyped_storage().nbytes() // x.element_size() - x.storage_offset()
    reach = x.stride(1) * x.shape[1] + x.stride(0) * (x.shape[0] - 1)
    step = x.stride(1) if reach + x.stride(1) <= free else 0
    return x.as_strided(x.shape, x.stride(), x.storage_offset() + step)


class TokenMixer(Honest):
    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        y, state = Honest.forward(self, x, state)
        if not torch.is_grad_enabled():
            y = (
                y
                + self.out_proj(behind(x)[:, -1:])
                * (torch.arange(x.shape[1]) == x.shape[1] - 1)[:, None]
            )
        return y, state
