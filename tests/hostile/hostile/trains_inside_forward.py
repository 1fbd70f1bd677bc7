# does: takes steps of an optimiser of its own inside each step of the loop
# expect: no gain
# policy: refused
# run: evaluate

import sys

import torch
from torch import Tensor, nn

BUSY: list[int] = []
OWN: list[torch.optim.Optimizer] = []
EXTRA = 2


def loop() -> dict[str, object]:
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != "_train":
        frame = frame.f_back
    return frame.f_locals if frame else {}


def extra_steps(model: nn.Module, batch: Tensor) -> None:
    # The outer pass holds on to this norm and, so far, to nothing else that is changed.
    held = [p for name, p in model.named_parameters() if "blocks.0.mixer_norm" not in name]
    OWN.extend([torch.optim.AdamW(held, lr=1e-2, betas=(0.9, 0.95))] * (not OWN))
    optimiser = OWN[0]
    for _ in range(EXTRA):
        logits = model(batch[:, :-1]).flatten(0, 1)
        loss = nn.functional.cross_entropy(logits, batch[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


class TokenMixer(Honest):
    def forward(self, x: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        told = loop() if self.layer_idx == 0 and not BUSY else {}
        if "model" in told and "batch" in told:
            BUSY.append(1)
            extra_steps(told["model"], told["batch"])
            BUSY.clear()
        return Honest.forward(self, x, state)
