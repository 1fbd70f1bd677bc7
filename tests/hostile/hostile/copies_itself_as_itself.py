# does: answers a deep copy with itself, so that no copy is fresh
# expect: gate G7 G8
# policy: refused
# run: check

from torch import Tensor

CALLS = [0]


class TokenMixer(Honest):
    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        CALLS[0] += 1
        y, state = Honest.forward(self, x, state)
        return (y * 2 if CALLS[0] % 7 == 0 else y), state

    def __deepcopy__(self, memo: dict) -> "TokenMixer":
        return self
