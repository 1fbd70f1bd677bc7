# does: takes the identity of another user and group
# expect: contained
# policy: refused
# run: check

import os


def attack() -> None:
    other = os.getuid() + 1
    for name, way in (
        ("setgroups", lambda: os.setgroups([other])),
        ("setgid", lambda: os.setgid(os.getgid() + 1)),
        ("setuid", lambda: os.setuid(other)),
        ("root", lambda: os.setuid(0) if os.getuid() else os.setresuid(1, 1, 1)),
    ):
        try:
            way()
        except OSError:
            continue
        raise RuntimeError(f"BREACH {name}: now user {os.getuid()}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
