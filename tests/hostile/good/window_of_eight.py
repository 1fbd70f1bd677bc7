# does: attends to the last eight tokens and needs no more state than DeltaNet
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 8


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.key = nn.Linear(hidden_size, hidden_size, bias=False)
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.offset = nn.Parameter(torch.linspace(-1.0, 1.0, WINDOW))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if state is None:
            state = x.new_zeros(x.shape[0], WINDOW - 1, x.shape[2])
        inputs = torch.cat([state, x], dim=1)
        keys = self.key(inputs).unfold(1, WINDOW, 1)
        values = self.value(inputs).unfold(1, WINDOW, 1)
        query = self.query(x)[:, :, None]
        scores = F.normalize(query, dim=-1) @ F.normalize(keys, dim=2) * 8 + self.offset
        o = (values * scores.softmax(-1)).sum(-1)
        return self.out(o), inputs[:, x.shape[1] :]
