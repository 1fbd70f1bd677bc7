"""How long the memory takes to answer, and what it needs: `python benchmarks/memory.py [-n 20000]`.

The whole base of papers stands beside n lessons and motivations of one campaign; their texts are
pairs of sentences of the papers, since no campaign of that size has run. The queries are the
observations of `retrieval/`, each asked once of the papers, the lessons and the motivations, as
three nodes of an experiment do. Percentiles are over queries, in milliseconds on one thread.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from retrieval import queries

from move37.memory.cognition import CognitionBase
from move37.memory.lessons import LessonBase, Origin
from move37.memory.novelty import Motivations
from move37.records import Analysis, Experiment, Proposal

CAMPAIGN = "load"
LESSONS_EACH = 2


def sentences(base: CognitionBase) -> list[str]:
    """Return the sentences of all papers but for their formulas."""
    texts = [part for one in base.lessons() for part in (one.scenario, *one.seen_as, one.context)]
    return [s for text in texts for s in re.split(r"(?<=[.?!])\s", text) if len(s) > 30]


def experiments(said: list[str], count: int) -> Iterator[Experiment]:
    """Return experiments that have a motivation and two lessons each."""
    rng = random.Random(0)
    for number in range(1, count + 1):
        first, second, third, fourth = rng.sample(said, 4)
        proposal = Proposal(
            name=f"load-{number}",
            motivation=f"{first} {second}",
            hypothesis="h",
            expected_gain=0.0,
            code="x = 1",
        )
        yield Experiment(
            id=f"{CAMPAIGN}-{number}",
            campaign=CAMPAIGN,
            number=number,
            status="unjudged",
            parent=0,
            proposal=proposal,
            analysis=Analysis(
                summary="s", expectation_met=False, cause="c", lessons=(third, fourth)
            ),
        )


def timed(ask: Callable[[str], object], asked: list[str]) -> str:
    """Return median, 95th and 99th percentile and maximum of the time of one query."""
    ask(asked[0])
    spent = []
    for query in asked:
        start = time.perf_counter()
        ask(query)
        spent.append(1e3 * (time.perf_counter() - start))
    p50, p95, p99 = np.percentile(spent, (50, 95, 99))
    return f"p50 {p50:.1f}  p95 {p95:.1f}  p99 {p99:.1f}  max {max(spent):.1f} ms ({len(spent)})"


def main() -> None:
    """Print one line for each kind of query, and the time and memory of building."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=20_000, help="lessons, 2 each")
    count = parser.parse_args().n // LESSONS_EACH
    asked = [query for name in ("development", "test") for query, _ in queries(name)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        base = CognitionBase(Path(folder) / "papers")
        built = base.build()
        print(f"build of {built.total} lessons of papers: {time.perf_counter() - start:.1f} s")
        made = list(experiments(sentences(base), count))
        lessons = LessonBase(Path(folder) / "own", CAMPAIGN, Origin(1.0, frozenset(), 0.01))
        motivations = Motivations(Path(folder) / "own", CAMPAIGN)
        start = time.perf_counter()
        embedded = lessons.sync(made)
        added = motivations.sync(made)
        seconds = time.perf_counter() - start
        print(f"{embedded} lessons and {added} motivations embedded: {seconds:.1f} s")
        before = count + 1
        print("papers     ", timed(base.search, asked))
        print("lessons    ", timed(lambda query: lessons.search(query, before), asked))
        near = timed(lambda query: motivations.nearest(query, before), asked)
        print("motivations", near)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"resident memory, peak: {peak:.0f} MB")
        for opened in (base, lessons, motivations):
            opened.close()


if __name__ == "__main__":
    main()
