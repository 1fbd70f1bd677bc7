"""What early stopping would have saved, and lost, on curves of designs that trained in full.

`python -m benchmarks.early_stopping` replays the stored curves: the designs come in random orders,
two at a time, and each is held to those before it, as in a campaign. It prints the share of
training steps saved, the recall of the top quarter by held-out loss on text (which of these trained
to their end), the regret (by how much the best that ended is worse than the best) and how often the
best was lost. The rule is chosen without the designs that it is reported on: in four parts, each
time on three of them. With `--looks`, `--good` and the rest it replays the rule that is given, and
with `--rules` all rules that were choices.

`--sample N RAW` trains designs one to nine mutations from the root at the laptop tier, seed 0, two
side by side, and appends each to RAW (JSON lines) until N trained in full; `--store RAW` writes
them thinned to the file that is replayed.

The replay has no baseline, which counts as one earlier run in a campaign. It exits with 1 when less
than half of the steps is saved, or fewer than 0.9 of the top quarter ended.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.curves import STORED, Run, load, sample, store
from benchmarks.replay import Replay, replay, report, text_of, top_of
from move37.evaluation.pruning import RULE, Look, Rule

ORDERS, ORDERS_TO_CHOOSE = 200, 24
PARTS = 4
LEAST_SAVED, LEAST_RECALL, LEAST_DESIGNS = 0.5, 0.9, 60
# A rule is chosen by more than is demanded of it: on designs it does not know it will be worse.
DEMANDED = 0.95
# Shares of the steps at which runs are looked at, and shares that go on.
LOOKS: list[dict[float, float]] = [
    {0.25: 0.5},
    {0.25: 0.5, 0.5: 0.33},
    {0.25: 0.4, 0.5: 0.33},
    {0.25: 0.4, 0.5: 0.3},
    {0.2: 0.5, 0.4: 0.33},
    {0.2: 0.4, 0.4: 0.3},
    {0.2: 0.6, 0.3: 0.4, 0.5: 0.3},
    {0.2: 0.5, 0.3: 0.4, 0.5: 0.33},
    {0.2: 0.5, 0.3: 0.4, 0.5: 0.3},
    {0.2: 0.5, 0.3: 0.35, 0.5: 0.28},
]
# Without the forecast, and with it: what counts as good, and how sure it must be that a run is not.
FORECASTS = ((1.0, 0.0), (0.3, 1.5), (0.25, 1.0))
FEWEST = (5, 8)
RULES = [
    Rule(
        looks=tuple(Look(at=at, kept=kept) for at, kept in looks.items()),
        good=good,
        margin=margin,
        fewest=fewest,
    )
    for looks, (good, margin), fewest in itertools.product(LOOKS, FORECASTS, FEWEST)
]


def choose(runs: Sequence[Run]) -> Rule:
    """Return the rule that saves most on these runs among those that keep what is demanded."""
    top = top_of(runs, text_of(runs))
    kept = []
    for rule in RULES:
        found = replay(runs, rule, ORDERS_TO_CHOOSE)
        recall = float(found.ended[:, top].mean())
        kept.append((min(recall, DEMANDED), -float(found.made.mean()), rule))
    return max(kept, key=lambda row: row[:2])[2]


def crossed(runs: Sequence[Run]) -> Replay:
    """Return the replay of all designs, each under a rule that was chosen without it."""
    columns = [np.zeros((ORDERS, len(runs))) for _ in range(4)]
    for part in range(PARTS):
        inside = list(range(part, len(runs), PARTS))
        rule = choose([run for place, run in enumerate(runs) if place % PARTS != part])
        print(f"part {part + 1} of {PARTS}: {_told(rule)}")
        found = replay(runs, rule, ORDERS)
        told = (found.made, found.ended, found.place, found.would_stop)
        for column, values in zip(columns, told, strict=True):
            column[:, inside] = values[:, inside]
    return Replay(*columns)


def _told(rule: Rule) -> str:
    looks = ", ".join(f"{look.kept:.0%} go on at {look.at:.0%}" for look in rule.looks)
    forecast = f"; forecast: the best {rule.good:.0%} by {rule.margin:g} SD"
    told = looks + (forecast if rule.good < 1 else "; no forecast")
    return f"{told}; after {rule.fewest} runs"


def _screened(runs: Sequence[Run]) -> str:
    """Say how fast designs came that trained in full, and on how busy a machine."""
    seconds = np.array([run.seconds for run in runs])
    load = float(np.median([run.load for run in runs]))
    rate = 2 * 1800 / seconds.mean()
    return f"sampled two at a time: {rate:.0f} in 30 min in full, at a median load of {load:.1f}"


def main() -> None:
    """Sample, store or replay curves."""
    asked = _arguments()
    if asked.sample:
        sample(int(asked.sample[0]), Path(asked.sample[1]))
        return
    if asked.store:
        store(Path(asked.store), STORED)
        return
    runs = load(asked.curves)
    print(f"{len(runs)} designs; {_screened(runs)}")
    if asked.rules:
        _show_rules(runs)
        return
    if asked.looks:
        looks = tuple(Look(at=at, kept=kept) for at, kept in asked.looks)
        rule = Rule(looks=looks, **{name: getattr(asked, name) for name in FIGURES})
        print(_told(rule))
        report(runs, replay(runs, rule, ORDERS))
        return
    print("\nrules chosen without the designs that they are reported on:")
    saved, recall = report(runs, crossed(runs))
    print(
        f"\nthe rule of campaigns, which was chosen on the first 29 of these designs: {_told(RULE)}"
    )
    report(runs, replay(runs, RULE, ORDERS))
    sys.exit(saved < LEAST_SAVED or recall < LEAST_RECALL or len(runs) < LEAST_DESIGNS)


FIGURES = ("good", "margin", "spared", "fewest", "smoothing")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", nargs=2, metavar=("N", "RAW"))
    parser.add_argument("--store", metavar="RAW")
    parser.add_argument("--curves", type=Path, default=STORED, help="file that is replayed")
    parser.add_argument("--rules", action="store_true", help="replay all that may be chosen")
    parser.add_argument("--looks", nargs="+", type=_look, help="as 0.25:0.5 0.5:0.3")
    for name in FIGURES:
        own = getattr(RULE, name)
        parser.add_argument(f"--{name}", type=type(own), default=own)
    return parser.parse_args()


def _look(text: str) -> tuple[float, float]:
    at, kept = text.split(":")
    return float(at), float(kept)


def _show_rules(runs: Sequence[Run]) -> None:
    top = top_of(runs, text_of(runs))
    for rule in RULES:
        found = replay(runs, rule, ORDERS_TO_CHOOSE)
        saved = 1 - found.made.mean() / runs[0].steps
        print(f"{saved:.1%} saved, recall {found.ended[:, top].mean():.3f}: {_told(rule)}")


if __name__ == "__main__":
    main()
