# does: takes an attention mask and hides padded positions before anything mixes
# expect: passes
# policy: passes
from torch import Tensor, nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.filter = ShortConvolution(2 * hidden_size)
        self.out = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        v = self.value(x)
        if attention_mask is not None:
            v = v * attention_mask[..., None].to(v.dtype)
        v, state = self.filter(v, state)
        return self.out(v), state
