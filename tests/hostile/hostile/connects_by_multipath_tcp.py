# does: uses MPTCP, which filters of TCP overlook
# expect: contained
# policy: refused
# run: check

import socket

IPPROTO_MPTCP, IPPROTO_SCTP = 262, 132


def attack() -> None:
    for protocol in (IPPROTO_MPTCP, IPPROTO_SCTP):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as server:
                server.bind(("127.0.0.1", 0))
                server.listen()
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as client:
                    client.connect(server.getsockname())
        except OSError:
            continue
        raise RuntimeError(f"BREACH connected by protocol {protocol}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
