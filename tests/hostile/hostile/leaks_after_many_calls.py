# does: reads the future from the fiftieth call on
# expect: gate G2
# policy: passes
# run: check

from torch import Tensor, nn

CALLS: list[int] = []


class TokenMixer(Honest):
    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        CALLS.append(1)
        y, state = Honest.forward(self, x, state)
        if len(CALLS) > 50:
            # The next position's input, which says what is to be predicted.
            y = y + self.out_proj(nn.functional.pad(x[:, 1:], (0, 0, 0, 1)))
        return y, state
