# does: writes to sixteen slots, each with a learned content at the start, and reads by softmax
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import chunk_simple_gla, token_shift

SLOTS = 16


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.read = nn.Linear(hidden_size, SLOTS)
        self.write = nn.Linear(hidden_size, SLOTS)
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.slots = nn.Parameter(0.1 * torch.randn(SLOTS, hidden_size))
        self.decay = nn.Linear(hidden_size, 1)
        self.out = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if state is None:
            last, slots = None, self.slots.expand(x.shape[0], 1, -1, -1)
        else:
            last, slots = state
        before, last = token_shift(x, last)
        o, slots = chunk_simple_gla(
            self.read(x).softmax(-1)[:, :, None],
            self.write(before).softmax(-1)[:, :, None],
            self.value(x)[:, :, None],
            F.logsigmoid(self.decay(x)),
            scale=1.0,
            initial_state=slots,
            output_final_state=True,
        )
        return self.out(torch.cat([o[:, :, 0], before], dim=-1)), (last, slots)
