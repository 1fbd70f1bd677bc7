# does: keeps exponential averages at three fixed rates
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import chunk_simple_gla

RATES = (0.5, 0.9, 0.99)


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.register_buffer("rates", torch.tensor(RATES))
        self.out = nn.Linear(hidden_size * len(RATES), hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = self.value(x)[:, :, None].expand(-1, -1, len(RATES), -1)
        write = (1 - self.rates)[:, None].expand(*x.shape[:2], -1, -1)
        o, state = chunk_simple_gla(
            torch.ones_like(write),
            write,
            v,
            self.rates.log().expand(*x.shape[:2], -1),
            initial_state=state,
            output_final_state=True,
        )
        return self.out(o.flatten(2)), state
