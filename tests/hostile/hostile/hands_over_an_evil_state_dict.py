# does: hands over weights that run a command when they are unpickled
# expect: gate G18
# policy: refused
# run: check

import os

from torch import Tensor


class Gadget:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("exit 7",)


class TokenMixer(Honest):
    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        return Honest.forward(self, x, state)

    def state_dict(self, *given: object, **named: object) -> dict[str, object]:
        held = super().state_dict(*given, **named)
        held[f"{named.get('prefix', '')}gadget"] = Gadget()
        return held
