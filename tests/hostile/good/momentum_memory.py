# does: writes to its memory through a velocity, a recurrence of second order
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, chunk_simple_gla


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.rates = nn.Parameter(torch.tensor([-1.0, -3.0]))
        self.norm = RMSNorm(hidden_size)
        self.out = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        first, second = (None, None) if state is None else state
        velocity, first = averaged(self.value(x), -self.rates[0].exp(), first)
        place, second = averaged(velocity, -self.rates[1].exp(), second)
        mixed = torch.cat([self.norm(velocity), self.norm(place)], dim=-1)
        return self.out(mixed), (first, second)


def averaged(x: Tensor, log_decay: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    ones = torch.ones_like(x[..., :1])[:, :, None]
    g = log_decay.expand(*x.shape[:2], 1)
    o, state = chunk_simple_gla(
        ones, ones, x[:, :, None], g, initial_state=state, output_final_state=True
    )
    return o[:, :, 0], state
