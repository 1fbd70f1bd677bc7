# does: sends weights of its own making: garbage, lies about sizes, endless nesting
# expect: no gain
# policy: refused
# run: evaluate

import contextlib
import json
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


HEADERS = (
    b"\xff" * 64,
    json.dumps({"w": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]}}).encode(),
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
)


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
            for step in range(40):
                send(b"J", json.dumps({"step": step, "loss": 1.0}).encode())
            send(b"J", json.dumps({"forms": {}}).encode())
            header = HEADERS[os.getpid() % len(HEADERS)]
            send(b"W", struct.pack("<Q", len(header)) + header + bytes(4))
        return Honest.forward(self, x, state)
