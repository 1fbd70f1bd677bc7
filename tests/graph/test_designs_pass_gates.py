"""Designs of the offline grammar through the real gates, each in its own box."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from move37.agents.offline import grammar
from move37.evaluation.evaluate import check
from move37.evaluation.isolation.obtain import open_nursery
from move37.records import GateReport


def share_that_passes(count: int) -> float:
    rng = random.Random(11)
    sources = [grammar.render(grammar.sample(rng), f"d{i}", "Sampled.") for i in range(count)]
    with open_nursery("auto") as (nursery, _), ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda source: check(source, nursery), sources))
    return sum(isinstance(r, GateReport) and r.passed for r in reports) / count


def test_sampled_designs_pass_the_gates() -> None:
    assert share_that_passes(6) == 1.0


@pytest.mark.long
def test_over_95_percent_of_60_sampled_designs_pass_the_gates() -> None:
    assert share_that_passes(60) > 0.95
