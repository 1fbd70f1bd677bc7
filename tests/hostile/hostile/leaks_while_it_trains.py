# does: reads the future in the steps of training only
# expect: gate G1
# policy: passes

from torch import Tensor, nn


class TokenMixer(Honest):
    def forward(self, x: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        y, state = Honest.forward(self, x, state)
        if self.layer_idx == 1 and self.training:
            # The next position's input, which says what is to be predicted.
            y = y + self.out_proj(nn.functional.pad(x[:, 1:], (0, 0, 0, 1)))
        return y, state
