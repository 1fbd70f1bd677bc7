# does: takes two delta steps a token, on a sequence of twice the length
# expect: passes
# policy: passes
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_delta_rule, l2norm


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.filter = ShortConvolution(hidden_size)
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.key = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.value = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.beta = nn.Linear(hidden_size, 2 * num_heads)
        self.norm = RMSNorm(hidden_size // num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        last, memory = (None, None) if state is None else state
        u, last = self.filter(x, last)
        q = self.query(u).unflatten(2, (self.num_heads, -1)).repeat_interleave(2, dim=1)
        o, memory = chunk_delta_rule(
            l2norm(q),
            l2norm(self.steps(self.key(u))),
            self.steps(self.value(u)),
            2 * self.steps(self.beta(x)).squeeze(-1).sigmoid(),
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )
        return self.out(self.norm(o[:, 1::2]).flatten(2)), (last, memory)

    def steps(self, x: Tensor) -> Tensor:
        """Turn [B, T, 2 * heads * D] into [B, 2 * T, heads, D]."""
        return x.unflatten(2, (2, self.num_heads, -1)).flatten(1, 2)
