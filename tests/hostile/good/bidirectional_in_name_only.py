# does: calls its filters forward and backward and flips taps, yet looks at the past only
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn

from move37.arch_templates.ops import causal_conv


class BidirectionalFilter(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.forward_taps = nn.Parameter(torch.randn(channels, width) / width)
        self.backward_taps = nn.Parameter(torch.randn(channels, width) / width)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        return causal_conv(x, self.forward_taps + self.backward_taps.flip(1), state)


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.both_ways = BidirectionalFilter(hidden_size, 8)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v, state = self.both_ways(self.value(x), state)
        return self.out(nn.functional.gelu(v)), state
