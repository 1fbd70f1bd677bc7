# does: writes with a strength of up to two, so that a transition may flip a sign
# expect: passes
# policy: passes
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_delta_rule, l2norm


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.filter = ShortConvolution(3 * hidden_size)
        self.beta = nn.Linear(hidden_size, num_heads)
        self.norm = RMSNorm(hidden_size // num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        last, memory = (None, None) if state is None else state
        qkv, last = self.filter(self.qkv(x), last)
        q, k, v = qkv.unflatten(2, (3, self.num_heads, -1)).unbind(2)
        o, memory = chunk_delta_rule(
            l2norm(q),
            l2norm(k),
            v,
            2 * self.beta(x).sigmoid(),
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )
        return self.out(self.norm(o).flatten(2)), (last, memory)
