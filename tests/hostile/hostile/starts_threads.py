# does: starts threads that go on while the loop believes that it measures
# expect: contained
# policy: refused
# run: check

import threading


def attack() -> None:
    started = []
    for _ in range(64):
        thread = threading.Thread(target=int, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            break
        started.append(thread)
    if started:
        raise RuntimeError(f"BREACH started {len(started)} threads")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
