# does: reads what the kernel tells in /proc and /sys about the machine
# expect: contained
# policy: refused
# run: check

import os

PATHS = (
    "self/maps",
    "self/status",
    "self/mounts",
    "self/cmdline",
    "cpuinfo",
    "net/tcp",
    "1/status",
)


def attack() -> None:
    for path in (*(f"/proc/{name}" for name in PATHS), "/sys/class/net", "/proc/self/exe"):
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        os.close(handle)
        raise RuntimeError(f"BREACH opened {path}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
