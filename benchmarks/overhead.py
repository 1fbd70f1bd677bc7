"""Where the time of an experiment goes: training, and everything else. Peak memory of it all.

`python benchmarks/overhead.py [TIER] [EXPERIMENTS]` runs a campaign of its own with the offline
model, one experiment at a time, and prints the medians.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from move37.graph.campaign import run_campaign
from move37.records import CampaignConfig, Measured
from move37.settings import Settings, load_settings


class PeakMemory(threading.Thread):
    """Samples the memory of this process and all its children until it is stopped.

    Shared pages count once (proportional set size), so that forked boxes are not counted double.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._ended = threading.Event()

    def run(self) -> None:
        """Sample five times a second."""
        while not self._ended.wait(0.2):
            self.peak = max(self.peak, _memory())

    def stop(self) -> int:
        """Return the largest sum that was seen, in bytes."""
        self._ended.set()
        return self.peak


def _memory() -> int:
    total = 0
    here = psutil.Process()
    for process in [here, *here.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return total


def main() -> None:
    """Run the campaign and print the split."""
    tier = sys.argv[1] if len(sys.argv) > 1 else "laptop"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings()
        here = Settings(home=Path(home), cache=settings.cache, slots=settings.slots)
        config = CampaignConfig(name="overhead", tier=tier, experiments=count)
        memory = PeakMemory()
        memory.start()
        start = time.monotonic()
        experiments = run_campaign(config, here)
        wall = time.monotonic() - start
    rows = []
    for experiment in experiments:
        if isinstance(experiment.outcome, Measured):
            cost = experiment.outcome.cost
            rest = experiment.seconds - cost.train_seconds
            rows.append((cost.train_seconds, cost.gate_seconds, cost.score_seconds, rest))
    training, gates, scoring, rest = (
        statistics.median(column) for column in zip(*rows, strict=True)
    )
    print(f"{len(rows)} measured experiments at {tier}, {wall:.0f} s in all")
    print(f"median seconds: training {training:.2f}, everything else {rest:.2f}")
    agents = rest - gates - scoring
    print(f"of which gates {gates:.2f}, scoring {scoring:.2f}, agents and graph {agents:.2f}")
    print(f"peak memory of all processes {memory.stop() / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
