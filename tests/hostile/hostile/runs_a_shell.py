# does: starts a program by every door of the os module
# expect: contained
# policy: refused
# run: check

import os
import subprocess

WAYS = (
    lambda: subprocess.run(["/bin/true"], check=True),
    lambda: os.posix_spawn("/bin/true", ["true"], {}),
    lambda: os.popen("true").close(),
    lambda: 1 // (os.system("exit 7") == 7 << 8),
)


def attack() -> None:
    for number, run in enumerate(WAYS):
        try:
            run()
        except (OSError, ZeroDivisionError, subprocess.SubprocessError):
            continue
        raise RuntimeError(f"BREACH way {number} ran a program")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
