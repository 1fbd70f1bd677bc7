"""Can the judge be believed: pairs of known order, and a campaign of copies of the root.

`python -m benchmarks.calibration [TIER] [COPIES]` prints what `move37 calibrate` prints, by default
for the tier laptop and 12 copies, and exits with 1 when fewer than 11 of 12 pairs are in their
order, when more than one claim in a hundred about copies is false, or when there were fewer than 40
real runs or 300 decisions. Runs are kept in the cache, so that it goes on where it was stopped.
"""

from __future__ import annotations

import sys

from move37.cli.calibrating import (
    PROPOSED,
    controls_text,
    measure_controls,
    measure_null,
    null_text,
)
from move37.evaluation.calibration.runs import Job
from move37.evaluation.client import open_evaluator
from move37.evaluation.tiers import load_tier
from move37.settings import load_settings

LEAST_RUNS = 40


def told(job: Job, seconds: float) -> None:
    """Tell of a run that ended."""
    print(f"trained on {job.metric}, seed {job.seed}: {seconds:.0f} s", file=sys.stderr)


def main() -> None:
    """Print both, and exit with 1 where a figure was missed."""
    tier = load_tier(sys.argv[1] if len(sys.argv) > 1 else "laptop")
    copies = int(sys.argv[2]) if len(sys.argv) > 2 else PROPOSED
    settings = load_settings()
    with open_evaluator(settings.isolation, tier) as evaluator:
        controls = measure_controls(evaluator, settings, told)
        print(f"{controls_text(controls)}\n", flush=True)
        null = measure_null(evaluator, settings, copies, told)
        print(null_text(null))
    enough = len(null.losses) >= LEAST_RUNS
    sys.exit(0 if controls.passed and null.passed and enough else 1)


if __name__ == "__main__":
    main()
