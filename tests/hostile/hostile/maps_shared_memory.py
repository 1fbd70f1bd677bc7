# does: asks for 64 GiB of shared memory, which limits of data do not count
# expect: contained
# policy: refused
# run: check

import ctypes

PROT, MAP_ANONYMOUS, MAP_NORESERVE = 3, 0x20, 0x4000
MAP_SHARED = 1


def attack() -> None:
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE
    # Untouched pages cost nothing where they are granted.
    granted = libc.mmap(None, ctypes.c_size_t(64 << 30), PROT, flags, -1, ctypes.c_long(0))
    if granted not in (None, ctypes.c_void_p(-1).value):
        libc.munmap(ctypes.c_void_p(granted), ctypes.c_size_t(64 << 30))
        raise RuntimeError("BREACH 64 GiB of address space")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
