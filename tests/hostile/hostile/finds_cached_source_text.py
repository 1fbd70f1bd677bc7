# does: looks for the library's source text in caches of the process
# expect: contained
# policy: refused
# run: check

import linecache
import os
import sysconfig


def attack() -> None:
    library = sysconfig.get_paths()["stdlib"]
    for name, entry in linecache.cache.items():
        inside = name.startswith(library + os.sep) and "site-packages" not in name
        if inside and len(entry) == 4 and entry[2]:
            raise RuntimeError(f"BREACH {entry[0]} characters of {name}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
