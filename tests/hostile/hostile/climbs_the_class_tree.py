# does: finds an open function through globals, builtins and frames
# expect: contained
# policy: refused
# run: check

import sys


def attack() -> None:
    found = [module.open for name, module in sys.modules.items() if name in ("os", "posix", "io")]
    found.append(attack.__globals__["__builtins__"]["open"])
    frame = sys._getframe()
    while frame is not None:
        found.append(getattr(frame.f_globals.get("os"), "open", None))
        frame = frame.f_back
    for opener in filter(None, found):
        for way in (0, "r"):
            try:
                handle = opener("/etc/passwd", way)
            except (OSError, TypeError):
                continue
            raise RuntimeError(f"BREACH {opener} gave {handle}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
