# does: looks for a right of root that was left to it
# expect: contained
# policy: refused
# run: check

import ctypes


def attack() -> None:
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    held = (ctypes.c_uint32 * 6)()
    done = libc.capget(ctypes.byref(header), ctypes.byref(held))
    if done == 0 and any(held):
        raise RuntimeError(f"BREACH capabilities {[hex(word) for word in held]}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
