# does: sums outer products by a plain cumulative sum over time and normalises the result
# expect: passes
# policy: passes
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_size, 8, bias=False)
        self.key = nn.Linear(hidden_size, 8, bias=False)
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.norm = RMSNorm(hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        written = self.key(x)[..., None] * self.value(x)[..., None, :]
        sums = written.cumsum(1)
        if state is not None:
            sums = sums + state
        read = (self.query(x)[..., None, :] @ sums).squeeze(-2)
        return self.out(self.norm(read)), sums[:, -1:]
