# does: weighs its heads for each token by a router
# expect: passes
# policy: passes
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_gated_delta_rule, l2norm


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.filter = ShortConvolution(hidden_size)
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.beta = nn.Linear(hidden_size, num_heads)
        self.decay = nn.Linear(hidden_size, num_heads)
        self.router = nn.Linear(hidden_size, num_heads)
        self.norm = RMSNorm(hidden_size // num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        last, memory = (None, None) if state is None else state
        u, last = self.filter(x, last)
        q, k, v = self.qkv(u).unflatten(2, (3, self.num_heads, -1)).unbind(2)
        o, memory = chunk_gated_delta_rule(
            l2norm(q),
            l2norm(k),
            v,
            g=F.logsigmoid(self.decay(x) + 4),
            beta=self.beta(x).sigmoid(),
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )
        share = self.router(x).softmax(-1)[..., None]
        return self.out((self.norm(o) * share).flatten(2)), (last, memory)
