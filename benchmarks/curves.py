"""Curves of sampled designs, each trained in full: drawn, kept as they come, stored thinned."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from move37.agents.offline import grammar
from move37.evaluation.data import load_corpus
from move37.evaluation.evaluate import Evaluator
from move37.evaluation.isolation.obtain import open_nursery
from move37.evaluation.statistics.intervals import Array
from move37.evaluation.tiers import load_tier
from move37.records import Measured

STORED = Path(__file__).parent / "early_stopping" / "curves.json"
TIER = "laptop"
SEED = 0
# Mutations between the root and a design: most are as near as a young campaign's, some are deeper.
DEPTHS = (1, 2, 3, 4, 6, 9)
SIDE_BY_SIDE = 2
# Stored are the means over so many steps in a row, in nats.
THIN, DIGITS = 5, 4


@dataclass(frozen=True)
class Run:
    """One design's training: losses [S] of the text task at each step, and what it ended with.

    `steps` are those of both tasks; `held_out` maps a task to its held-out loss, `seconds` is what
    the design took with all checks.
    """

    number: int
    losses: Array
    steps: int
    held_out: dict[str, float]
    seconds: float
    load: float


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
    """Return the lines of a raw file; a limit of time says nothing of a design, so it is skipped.

    The machine may have been busy, and a later line may hold the same design in full.
    """
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if line["outcome"].get("stage") != "timeout"]


def sample(count: int, path: Path) -> None:
    """Append designs to the file until `count` of them trained in full; failures stay in it.

    Nothing is stopped early. Stopped and called again, it goes on.
    """
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


def store(raw: Path, path: Path) -> None:
    """Write what was sampled as one JSON object, a run on each line, its curves thinned."""
    lines = sorted(_lines(raw), key=lambda line: int(line["number"]))
    measured = [line for line in lines if line["outcome"]["kind"] == "measured"]
    head = {
        "tier": TIER,
        "seed": SEED,
        "thin": THIN,
        "provenance": measured[0]["outcome"]["provenance"],
        "failed": [
            [line["number"], line["outcome"]["stage"], line["outcome"]["reason"][:200]]
            for line in lines
            if line["outcome"]["kind"] == "failed"
        ],
    }
    rows = ",\n".join(json.dumps(_thinned(line), separators=(",", ":")) for line in measured)
    path.write_text(json.dumps(head, indent=1)[:-2] + ',\n "runs": [\n' + rows + "\n]}\n")


def _thinned(line: dict[str, Any]) -> dict[str, Any]:
    outcome = line["outcome"]
    told = {name: line[name] for name in ("number", "mutations", "seconds", "load")}
    for task in ("text", "recall"):
        losses = [point["loss"] for point in outcome["curve"] if point["task"] == task]
        told[task] = np.reshape(losses, (-1, THIN)).mean(1).round(DIGITS).tolist()
    told["held_out"] = {score["task"]: round(score["loss"], 5) for score in outcome["scores"]}
    return told


def load(path: Path) -> list[Run]:
    """Read stored runs; each step has the mean of the steps that it was stored with."""
    stored = json.loads(path.read_text())
    thin = stored["thin"]
    return [
        Run(
            number=one["number"],
            losses=np.repeat(np.array(one["text"]), thin),
            steps=thin * (len(one["text"]) + len(one["recall"])),
            held_out=one["held_out"],
            seconds=one["seconds"],
            load=one["load"],
        )
        for one in stored["runs"]
    ]
