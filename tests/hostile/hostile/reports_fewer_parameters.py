# does: owns three times the parameters and reports a few of them
# expect: gate G15
# policy: refused
# run: check

from torch import Tensor, nn

COPIES = 12


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        self.more = nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(COPIES))

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        y, state = Honest.forward(self, x, state)
        return y + 1e-3 * sum(layer(x) for layer in self.more), state

    def parameters(self, recurse: bool = True) -> object:
        return iter([self.out_proj.weight])

    def named_parameters(self, *given: object, **named: object) -> object:
        return iter([("out_proj.weight", self.out_proj.weight)])
