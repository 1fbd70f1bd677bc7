# does: writes large files wherever a file can be made
# expect: contained
# policy: refused
# run: check

import os

FOLDERS = (".", "/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/w", "/root", "/home", "/empty")


def attack() -> None:
    for folder in FOLDERS:
        path = f"{folder}/move37-fill"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except OSError:
            continue
        try:
            written = sum(os.write(handle, bytes(1 << 20)) for _ in range(64))
        except OSError:
            written = os.fstat(handle).st_size
        os.close(handle)
        os.unlink(path)
        raise RuntimeError(f"BREACH wrote {written} bytes to {folder}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
