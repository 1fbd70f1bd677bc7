"""How much of a loss's noise a seed does to all designs alike: is a paired difference sharper?

`python benchmarks/seed_pairs.py [TIER] [SEEDS]` trains the root, gated DeltaNet and two designs one
mutation from the root at the same seeds. A seed fixes data order and initial weights. With `rho`
the correlation of two designs' losses over seeds, the difference at one shared seed has variance
`2 (1 - rho) sigma^2`, that against the root's mean over N seeds, the shared one among them,
`(1 + (1 - 2 rho) / N) sigma^2`; so pairing at one seed is the sharper one when rho is above 1/2.
`rho` is the share of the seed in a two-way analysis of variance, beside each pair's own.
"""

from __future__ import annotations

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from move37.agents.offline import grammar
from move37.arch_templates.catalog import template_source
from move37.evaluation.data import load_corpus
from move37.evaluation.evaluate import TASKS, Evaluator
from move37.evaluation.isolation.obtain import open_nursery
from move37.evaluation.tiers import load_tier
from move37.records import Measured

WORKERS = 2


def _sources() -> dict[str, str]:
    """Return the designs: two templates, and two of a mutation as a campaign makes them."""
    found = {name: template_source(name) for name in ("delta_net", "gated_delta_net")}
    for number in (1, 2):
        genome, _ = grammar.mutate(grammar.ROOT, random.Random(f"pairs:{number}"), {})
        found[f"mutation {number}"] = grammar.render(genome, f"pairs-{number}", "One mutation.")
    return found


def seed_share(losses: NDArray[np.float64]) -> tuple[float, float]:
    """Return (rho, SD within a design) of losses [designs, seeds] by two-way analysis of variance.

    `rho = (MS_seed - MS_error) / (MS_seed + (k - 1) MS_error)` for k designs: the intraclass
    correlation of Shrout and Fleiss (1979), case 3; negative where seeds do nothing in common.
    """
    designs, seeds = losses.shape
    centred = losses - losses.mean(axis=1, keepdims=True)
    common = centred.mean(axis=0)
    of_seed = designs * float(common @ common) / (seeds - 1)
    error = float(((centred - common) ** 2).sum()) / ((designs - 1) * (seeds - 1))
    rho = (of_seed - error) / (of_seed + (designs - 1) * error)
    return rho, float(np.sqrt((centred**2).sum() / (designs * (seeds - 1))))


def main() -> None:
    """Print losses, noise and correlation for each task."""
    tier = load_tier(sys.argv[1] if len(sys.argv) > 1 else "laptop")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else tier.baseline_seeds
    sources = _sources()
    with open_nursery("auto") as (nursery, _), ThreadPoolExecutor(WORKERS) as pool:
        evaluator = Evaluator(tier, load_corpus(), nursery)
        jobs = [(source, seed) for seed in range(count) for source in sources.values()]
        runs = list(pool.map(lambda job: evaluator.evaluate(*job), jobs))
    measured = [run for run in runs if isinstance(run, Measured)]
    if len(measured) != len(jobs):
        raise SystemExit(f"{len(jobs) - len(measured)} of {len(jobs)} runs failed")
    for task in TASKS:
        losses = np.array([run.loss(task) for run in measured]).reshape(count, -1).T
        rho, sd = seed_share(losses)
        pairs = [float(np.corrcoef(a, b)[0, 1]) for a, b in combinations(losses, 2)]
        print(f"{task}: seed SD {sd:.4f} nats, rho {rho:+.2f} over {count} seeds at {tier.name}")
        print(f"  each pair: {' '.join(f'{pair:+.2f}' for pair in pairs)}")
        for name, row in zip(sources, losses, strict=True):
            print(f"  {name:16} {' '.join(f'{loss:.4f}' for loss in row)}")


if __name__ == "__main__":
    main()
