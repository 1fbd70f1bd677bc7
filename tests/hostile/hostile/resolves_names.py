# does: asks for the address of a name: data can leave inside the question
# expect: contained
# policy: refused
# run: check

import socket


def attack() -> None:
    for name in ("example.org", "metadata.google.internal", socket.gethostname()):
        try:
            found = socket.getaddrinfo(name, 80)
        except (OSError, UnicodeError):
            continue
        if found:
            raise RuntimeError(f"BREACH {name} is {found[0][-1]}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
