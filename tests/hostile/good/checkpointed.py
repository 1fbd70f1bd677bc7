# does: computes its inner part again in the backward pass, to save memory
# expect: passes
# policy: passes
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.filter = ShortConvolution(2 * hidden_size)
        self.out = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return checkpoint(self.mix, x, state, use_reentrant=False)

    def mix(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        v, state = self.filter(self.value(x), state)
        return self.out(v), state
