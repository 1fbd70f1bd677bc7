# does: connects by TCP to an address, and to itself
# expect: contained
# policy: refused
# run: check

import socket


def attack() -> None:
    for host, port in (("1.1.1.1", 53), ("169.254.169.254", 80), ("::1", 22)):
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            continue
        raise RuntimeError(f"BREACH connected to {host}")
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=1).close()
    except OSError:
        return
    raise RuntimeError("BREACH a TCP connection")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
