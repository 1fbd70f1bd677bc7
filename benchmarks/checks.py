"""What a check costs beyond its own work, what many checks leave behind, how long a ladder takes.

`python -m benchmarks.checks [--count 1000]` opens boxes with next to nothing to do, runs the
ladder once on every good file of the corpus, and then runs many checks in a row, most of which
fail early. It exits with 1 when a process, a descriptor, memory or a file was left behind.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from move37.evaluation.gates.ladder import run_ladder
from move37.evaluation.isolation.nursery import BoxFailure, Limits, Nursery
from move37.evaluation.isolation.obtain import open_nursery
from move37.records import UserError
from tests.hostile.cases import Case, corpus

EMPTY = """
from torch import nn

class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
"""
RAISES = "raise RuntimeError('early')\n"
BOXES = 100
GOOD_EVERY = 50
# Checks before the first count: lazy imports and the first pages of the allocator come with them.
SETTLING = 20
# Bytes by which one process may grow over all checks; a leak of 64 KiB a check is far above.
GROWTH = 16 << 20
# The warm parent buries a box shortly after its end.
BURIAL_SECONDS = 1.0


@dataclass(frozen=True)
class Footprint:
    """What this process and its children hold: counts, and resident bytes of each kind."""

    processes: int
    descriptors: int
    trusted_bytes: int
    warm_bytes: int
    files: int
    file_bytes: int

    @classmethod
    def now(cls, folder: Path) -> Footprint:
        """Measure it; `folder` is where temporary files go."""
        time.sleep(BURIAL_SECONDS)
        here = psutil.Process()
        children = here.children(recursive=True)
        files = [path for path in folder.rglob("*") if path.is_file()]
        return cls(
            processes=len(children),
            descriptors=here.num_fds() + sum(_descriptors(child) for child in children),
            trusted_bytes=here.memory_info().rss,
            warm_bytes=sum(child.memory_info().rss for child in children),
            files=len(files),
            file_bytes=sum(path.stat().st_size for path in files),
        )

    def left_behind(self, before: Footprint) -> list[str]:
        """Name what there is more of than before."""
        allowed = {"trusted_bytes": GROWTH, "warm_bytes": GROWTH}
        return [
            f"{name} grew from {old:,} to {new:,}"
            for name, old, new in (
                (name, getattr(before, name), getattr(self, name)) for name in vars(self)
            )
            if new - old > allowed.get(name, 0)
        ]


def _descriptors(process: psutil.Process) -> int:
    try:
        return process.num_fds()
    except psutil.AccessDenied:
        # The warm parent may have given up being looked into.
        return 0


def box_seconds(nursery: Nursery, count: int) -> list[float]:
    """Return the seconds from the opening of a box to its end, with next to nothing to do."""
    job = {"op": "build", "source": EMPTY, "index": 0, "precision": "float32"}
    size = {"hidden": 2, "heads": 1, "seed": 0}
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        with nursery.open_box(Limits(seconds=60)) as box:
            box.send({**job, **size})
            box.receive_json()
        taken.append(time.perf_counter() - start)
    return taken


def check(nursery: Nursery, source: str) -> tuple[bool, int]:
    """Climb the ladder; return whether it was passed and how many boxes it took."""
    boxes: list[object] = []
    try:
        checked = run_ladder(source, nursery, used=boxes.append)
    except BoxFailure:
        return False, len(boxes)
    return checked.report.passed, len(boxes)


def measure_ladders(nursery: Nursery, cases: list[Case]) -> int:
    """Print the seconds that good files take; return the most boxes that one of them needed."""
    taken, most = {}, 0
    for case in cases:
        start = time.perf_counter()
        passed, boxes = check(nursery, case.source)
        taken[case.name] = time.perf_counter() - start
        most = max(most, boxes)
        if not passed:
            print(f"{case.name} did not pass")
    slowest = max(taken, key=lambda name: taken[name])
    median = statistics.median(taken.values())
    print(f"ladder on {len(taken)} good files: median {median:.2f} s, ", end="")
    print(f"worst {taken[slowest]:.2f} s ({slowest})")
    return most


def run_checks(nursery: Nursery, good: list[Case], numbers: range) -> None:
    """Run checks in a row: in turn one that raises and one that fails a gate, at times a good."""
    wrong = next(case for case in corpus() if case.id == "wrong/mean_over_batch")
    for number in numbers:
        if number % GOOD_EVERY == GOOD_EVERY - 1:
            source = good[number // GOOD_EVERY % len(good)].source
        else:
            source = RAISES if number % 2 else wrong.source
        check(nursery, source)


def main() -> int:
    """Measure, print, and return 1 when something was left behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="checks in a row")
    count = parser.parse_args().count
    good = [case for case in corpus() if case.kind in ("good", "template")]
    with tempfile.TemporaryDirectory(prefix="move37-checks-") as home:
        # Boxes and this process put their temporary files where they can be counted.
        os.environ["TMPDIR"] = tempfile.tempdir = home
        with open_nursery("auto") as (nursery, isolation):
            print(f"isolation: {isolation.tier}")
            box_seconds(nursery, 5)
            taken = sorted(box_seconds(nursery, BOXES))
            median, late = statistics.median(taken), taken[int(0.95 * len(taken))]
            print(f"an empty box: median {median * 1e3:.1f} ms, p95 {late * 1e3:.1f} ms")
            most = measure_ladders(nursery, good)
            print(f"a whole ladder opens up to {most} boxes: {most * median:.2f} s beyond the work")
            run_checks(nursery, good, range(SETTLING))
            before = Footprint.now(Path(home))
            start = time.perf_counter()
            run_checks(nursery, good, range(count))
            seconds = time.perf_counter() - start
            after = Footprint.now(Path(home))
    print(f"{count} checks in {seconds:.0f} s")
    print(f"before {before}\nafter  {after}")
    leaks = after.left_behind(before)
    print("\n".join(leaks) or "nothing was left behind")
    return 1 if leaks else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
