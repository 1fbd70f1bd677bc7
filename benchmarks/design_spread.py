"""How far true losses of designs lie apart: the `tau` of a tier's tasks.

`python benchmarks/design_spread.py [TIER] [COUNT]` trains designs that lie one to four mutations
from the root, each at two paired seeds, and separates the spread between designs from the noise
within them (one-way analysis of variance). Also prints what each design lost and gained, and how
many of the sampled designs passed the gates.
"""

from __future__ import annotations

import random
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor

from move37.agents.offline import grammar
from move37.evaluation.data import load_corpus
from move37.evaluation.evaluate import TASKS, Evaluator
from move37.evaluation.isolation.obtain import open_nursery
from move37.evaluation.tiers import load_tier
from move37.records import Failed, Measured

SEEDS = (0, 1)


def _design(number: int) -> str:
    rng = random.Random(f"spread:{number}")
    genome = grammar.ROOT
    for _ in range(1 + number % 4):
        genome, _ = grammar.mutate(genome, rng, {})
    return grammar.render(genome, f"spread-{number}", "A design of the spread benchmark.")


def _spread(losses: list[tuple[float, ...]]) -> tuple[float, float]:
    """Return the SD between designs and the SD within one, by analysis of variance."""
    within = statistics.fmean(statistics.variance(pair) for pair in losses)
    means = statistics.variance([statistics.fmean(pair) for pair in losses])
    return max(0.0, means - within / len(SEEDS)) ** 0.5, within**0.5


def main() -> None:
    """Print the spread for each task."""
    tier = load_tier(sys.argv[1] if len(sys.argv) > 1 else "laptop")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 16
    with open_nursery("auto") as (nursery, _), ThreadPoolExecutor(2) as pool:
        evaluator = Evaluator(tier, load_corpus(None, tier), nursery)

        def measure(number: int) -> list[Measured | Failed]:
            return [evaluator.evaluate(_design(number), seed) for seed in SEEDS]

        runs = list(pool.map(measure, range(count)))
    kept = [[r for r in pair if isinstance(r, Measured)] for pair in runs]
    kept = [pair for pair in kept if len(pair) == len(SEEDS)]
    print(f"{len(kept)} of {count} designs measured at {tier.name}")
    for task in TASKS:
        losses = [tuple(run.loss(task) for run in pair) for pair in kept]
        between, within = _spread(losses)
        print(f"{task}: tau {between:.4f} between designs, {within:.4f} within one, nats")
        print("  " + " ".join(f"{statistics.fmean(pair):.3f}" for pair in losses))


if __name__ == "__main__":
    main()
