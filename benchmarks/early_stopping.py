"""Curves of sampled designs, each trained in full, and what early stopping would have done to them.

`python -m benchmarks.early_stopping --sample N FILE` trains designs that lie one to nine mutations
from the root, seed 0, two side by side, and appends each to FILE (JSON lines), until N of them
trained in full. Stopped and called again, it goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from move37.agents import grammar
from move37.evaluation.data import load_corpus
from move37.evaluation.evaluate import Evaluator
from move37.evaluation.isolation.obtain import open_nursery
from move37.evaluation.tiers import load_tier
from move37.records import Measured

TIER = "laptop"
SEED = 0
# Mutations between the root and a design: most are as near as a young campaign's, some are deeper.
DEPTHS = (1, 2, 3, 4, 6, 9)
SIDE_BY_SIDE = 2


def _design(number: int) -> tuple[grammar.Genome, str]:
    """Draw the genome and the source of one design."""
    rng = random.Random(f"early-stopping:{number}")
    genome = grammar.ROOT
    for _ in range(DEPTHS[number % len(DEPTHS)]):
        genome, _ = grammar.mutate(genome, rng, {})
    source = grammar.render(genome, f"curve-{number}", "A design of the early stopping benchmark.")
    return genome, source


def _designs() -> Iterator[tuple[int, str]]:
    """Yield all designs and their numbers without end, none of them twice."""
    seen = {grammar.ROOT}
    for number in itertools.count():
        genome, source = _design(number)
        if genome not in seen:
            seen.add(genome)
            yield number, source


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def sample(count: int, path: Path) -> None:
    """Append designs to the file until `count` of them trained in full; failures stay in it."""
    done = _lines(path)
    known = {line["number"] for line in done}
    finished = sum(line["outcome"]["kind"] == "measured" for line in done)
    waiting = (design for design in _designs() if design[0] not in known)
    lock, start = threading.Lock(), time.monotonic()

    def work(evaluator: Evaluator) -> None:
        nonlocal finished
        while True:
            with lock:
                if finished >= count:
                    return
                number, source = next(waiting)
            begun = time.monotonic()
            outcome = evaluator.evaluate(source, SEED)
            line = {
                "number": number,
                "mutations": DEPTHS[number % len(DEPTHS)],
                "seconds": round(time.monotonic() - begun, 2),
                "load": os.getloadavg()[0],
                "outcome": outcome.model_dump(mode="json"),
            }
            with lock:
                finished += isinstance(outcome, Measured)
                with path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                state = outcome.kind if isinstance(outcome, Measured) else outcome.reason[:60]
                taken = time.monotonic() - start
                print(f"{taken:.0f} s: {finished} of {count}, design {number}: {state}", flush=True)

    with open_nursery("auto") as (nursery, _), ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        evaluator = Evaluator(load_tier(TIER), load_corpus(), nursery)
        for worker in [pool.submit(work, evaluator) for _ in range(SIDE_BY_SIDE)]:
            worker.result()


def main() -> None:
    """Sample curves, or replay those that are stored."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", nargs=2, metavar=("N", "FILE"), required=True)
    asked = parser.parse_args()
    sample(int(asked.sample[0]), Path(asked.sample[1]))


if __name__ == "__main__":
    main()
