# does: returns its state as a dict that holds a tuple and a list
# expect: passes
# policy: passes
from typing import Any

from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, ShortConvolution, token_shift


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.first = ShortConvolution(hidden_size)
        self.second = ShortConvolution(hidden_size, activation=None)
        self.norm = RMSNorm(hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, dict[str, Any]]:
        filters, shift = (None, None), [None]
        if state is not None:
            filters, shift = state["filters"], state["shift"]
        v, first = self.first(self.value(x), filters[0])
        v, second = self.second(v, filters[1])
        before, last = token_shift(v, shift[0])
        y = self.out(self.norm(v + before))
        return y, {"filters": (first, second), "shift": [last]}
