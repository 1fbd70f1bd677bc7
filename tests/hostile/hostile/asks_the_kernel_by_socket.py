# does: opens netlink, packet, vsock, crypto and Bluetooth sockets
# expect: contained
# policy: refused
# run: check

import socket

# Netlink, packet, vsock, crypto, XDP, Bluetooth, CAN: by number, for not every build names them.
FAMILIES = (16, 17, 40, 38, 44, 31, 29)


def attack() -> None:
    for family in FAMILIES:
        for kind in (socket.SOCK_RAW, socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            try:
                socket.socket(family, kind, 0).close()
            except OSError:
                continue
            raise RuntimeError(f"BREACH a socket of family {family}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
