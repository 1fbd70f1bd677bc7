# does: uses one projection for queries and keys of all heads
# expect: passes
# policy: passes
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, chunk_delta_rule, l2norm, token_shift


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.key = nn.Linear(hidden_size, hidden_size // num_heads, bias=False)
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.beta = nn.Linear(hidden_size, num_heads)
        self.norm = RMSNorm(hidden_size // num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        last, memory = (None, None) if state is None else state
        before, last = token_shift(x, last)
        q = l2norm(self.key(x))[:, :, None].expand(-1, -1, self.num_heads, -1)
        k = l2norm(self.key(before))[:, :, None].expand(-1, -1, self.num_heads, -1)
        v = self.value(x).unflatten(2, (self.num_heads, -1))
        o, memory = chunk_delta_rule(
            q,
            k,
            v,
            self.beta(x).sigmoid(),
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )
        return self.out(self.norm(o).flatten(2)), (last, memory)
