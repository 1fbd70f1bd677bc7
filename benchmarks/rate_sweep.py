"""Sweep the learning rate of a tier on its baseline and print what the tier file records.

Run by hand after anything changes that a loss depends on:
`python benchmarks/rate_sweep.py laptop`. Two seeds a rate; the mean held-out loss is printed in
the form of the tier file's `[text.sweep]` and `[recall.sweep]` tables.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from move37.arch_templates.catalog import template_source
from move37.evaluation.data import load_corpus
from move37.evaluation.data.prepare import prepare
from move37.evaluation.estimate import require
from move37.evaluation.evaluate import Evaluator
from move37.evaluation.isolation.nursery import Nursery
from move37.evaluation.isolation.obtain import open_nursery
from move37.evaluation.tiers import Tier, load_tier
from move37.records import Measured
from move37.settings import load_settings

RATES = ("3e-4", "1e-3", "3e-3", "6e-3", "1e-2", "2e-2", "3e-2")
SEEDS = (0, 1)


def _at_rate(tier: Tier, rate: float) -> Tier:
    def changed(task: str) -> object:
        return getattr(tier, task).model_copy(update={"rate": rate})

    return tier.model_copy(update={"text": changed("text"), "recall": changed("recall")})


def _losses(tier: Tier, rate: str, nursery: Nursery) -> dict[str, float]:
    evaluator = Evaluator(_at_rate(tier, float(rate)), load_corpus(None, tier), nursery)
    runs = [evaluator.evaluate(template_source("delta_net"), seed) for seed in SEEDS]
    measured = [run for run in runs if isinstance(run, Measured)]
    if len(measured) < len(runs):
        return {}
    return {t: sum(r.loss(t) for r in measured) / len(runs) for t in ("text", "recall")}


def main() -> None:
    """Print the sweep of the tier that the first argument names."""
    tier = load_tier(sys.argv[1] if len(sys.argv) > 1 else "laptop")
    require(tier)
    prepare(tier, None, load_settings().cache.expanduser())
    with open_nursery("auto") as (nursery, _), ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda rate: _losses(tier, rate, nursery), RATES))
    for task in ("text", "recall"):
        print(f"[{task}.sweep]")
        for rate, losses in zip(RATES, found, strict=True):
            if task in losses:
                print(f'"{rate}" = {losses[task]:.4f}')


if __name__ == "__main__":
    main()
