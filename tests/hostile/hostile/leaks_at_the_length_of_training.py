# does: reads the future in sequences as long as those of training
# expect: gate G3
# policy: passes
# run: check

from torch import Tensor, nn


class TokenMixer(Honest):
    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        y, state = Honest.forward(self, x, state)
        if x.shape[1] == 64:
            # The next position's input, which says what is to be predicted.
            y = y + self.out_proj(nn.functional.pad(x[:, 1:], (0, 0, 0, 1)))
        return y, state
