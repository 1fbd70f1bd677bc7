# does: turns into another program, which would leave the interpreter's walls
# expect: contained
# policy: refused
# run: check

import os
import sys


def attack() -> None:
    for program in ("/bin/true", "/usr/bin/true", sys.executable):
        try:
            os.execv(program, [program, "-c", "print('BREACH')"])
        except OSError:
            continue


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
