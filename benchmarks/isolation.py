"""Whether the walls cost training speed: one job in a box with all of them and in one with none.

`python benchmarks/isolation.py [PAIRS]` alternates the two, so that a busy machine slows both, and
prints the median ratio of their speeds with its spread. Run it on idle cores.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

from move37.arch_templates.catalog import template_source
from move37.evaluation.data import load_corpus, text_batches
from move37.evaluation.isolation.nursery import Limits, Nursery
from move37.evaluation.isolation.obtain import choose
from move37.evaluation.isolation.walls import tier_name
from move37.evaluation.tiers import load_tier

STEPS = 150


def _seconds(nursery: Nursery) -> float:
    """Train DeltaNet at the laptop tier's size; return the seconds from first to last step."""
    tier = load_tier("laptop")
    spec = tier.text
    batches = text_batches(load_corpus(), 0, (STEPS, spec.rows, spec.length))
    shape = {
        "vocabulary": spec.vocabulary,
        "layers": tier.layers,
        "hidden": tier.hidden,
        "heads": tier.heads,
        "expansion": tier.expansion,
    }
    message = {"op": "train", "source": template_source("delta_net"), "shape": shape, "seed": 0}
    how = {"rate": spec.rate, "decay": tier.weight_decay, "warmup": 10}
    with nursery.open_box(Limits(seconds=tier.seconds)) as box:
        box.send({**message, **how}, [batches.tokens, batches.mask])
        box.receive_json()
        start = time.monotonic()
        for _ in range(STEPS - 1):
            box.receive_json()
        return time.monotonic() - start


def main() -> None:
    """Print the ratio of speeds, inside over outside."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    raised, _ = choose("auto", os.environ)
    with Nursery(raised) as walled, Nursery(frozenset()) as bare:
        # Once for nothing: both parents warm.
        _seconds(walled), _seconds(bare)
        ratios = []
        for index in range(pairs):
            order = (walled, bare) if index % 2 else (bare, walled)
            taken = {id(nursery): _seconds(nursery) for nursery in order}
            ratios.append(taken[id(bare)] / taken[id(walled)])
    quarters = statistics.quantiles(ratios, n=4)
    print(
        f"{tier_name(raised)}: training runs at {statistics.median(ratios):.3f} times the speed "
        f"without walls ({pairs} pairs, quartiles {quarters[0]:.3f} to {quarters[2]:.3f})"
    )


if __name__ == "__main__":
    main()
