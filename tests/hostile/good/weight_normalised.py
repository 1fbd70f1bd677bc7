# does: normalises the rows of its projections by a parametrisation
# expect: passes
# policy: passes
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = weight_norm(nn.Linear(hidden_size, 2 * hidden_size, bias=False))
        self.filter = ShortConvolution(2 * hidden_size)
        self.out = weight_norm(nn.Linear(2 * hidden_size, hidden_size, bias=False))

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v, state = self.filter(self.value(x), state)
        return self.out(v), state
