# does: sends JSON that is deep, wide, or no number where one is due
# expect: train
# policy: refused
# run: evaluate

import contextlib
import os
import stat
import struct
import sys

from torch import Tensor


def send(kind: bytes, payload: bytes) -> None:
    """Write a frame of the evaluator's protocol to every pipe that takes it."""
    frame = struct.pack("!cQ", kind, len(payload)) + payload
    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, frame)


TOLD = (b"[" * 500_000, b'{"loss": NaN, "step": 1}', b'{"loss": ' + b"9" * 5000 + b"}", b"[]", b"")


def measured() -> bool:
    """Whether a model of bytes stands around it: gates train on fewer words."""
    frame = sys._getframe()
    while frame is not None:
        model = frame.f_locals.get("self")
        if type(model).__name__ == "LanguageModel":
            return model.embedding.num_embeddings == 256
        frame = frame.f_back
    return False


class TokenMixer(Honest):
    def forward(self, x: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        if self.training and measured():
            send(b"J", TOLD[os.getpid() % len(TOLD)])
        return Honest.forward(self, x, state)
