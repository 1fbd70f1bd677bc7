# does: raises the limits that were set on it
# expect: contained
# policy: refused
# run: check

import resource

LIMITS = ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_NPROC")


def attack() -> None:
    for name in LIMITS:
        soft, hard = resource.getrlimit(getattr(resource, name))
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        try:
            resource.setrlimit(getattr(resource, name), unlimited)
        except (OSError, ValueError):
            continue
        raise RuntimeError(f"BREACH raised {name} from {soft}, {hard}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
