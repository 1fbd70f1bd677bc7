# does: talks to services of the host through socket files
# expect: contained
# policy: refused
# run: check

import contextlib
import os
import socket

SERVICES = ("/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/dev/log")


def attack() -> None:
    for path in (*SERVICES, "/tmp/.X11-unix/X0", "/run/containerd/containerd.sock"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            raise RuntimeError(f"BREACH connected to {path}")
    for folder in (".", "/tmp", "/dev/shm"):
        path = f"{folder}/move37.sock"
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            os.unlink(path)
            raise RuntimeError(f"BREACH listens at {path}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
