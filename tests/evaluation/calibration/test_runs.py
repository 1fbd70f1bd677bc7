"""Real runs at the smoke tier: kept one by one, never repeated, the same each time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from move37.arch_templates.catalog import template_source
from move37.evaluation.calibration.controls import Decided, measure
from move37.evaluation.calibration.identity import measure as measure_null
from move37.evaluation.calibration.pairs import PAIRS, source_of
from move37.evaluation.calibration.runs import Job, Run, Runs, seconds_a_run
from move37.evaluation.client import open_evaluator
from move37.evaluation.tiers import load_tier
from move37.records import Failed, UserError

SMOKE = load_tier("smoke")


class Ended:
    """Counts the runs that were really made."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._lock = threading.Lock()

    def __call__(self, job: Job, seconds: float) -> None:
        assert seconds > 0
        with self._lock:
            self.jobs.append(job)


def test_a_run_is_made_once_and_kept_and_a_failure_is_not(tmp_path: Path) -> None:
    broken = "import torch\nclass TokenMixer(torch.nn.Module):\n    pass\n"
    good, bad = Job(source_of("no mixing"), "text", 3), Job(broken, "text", 3)
    ended = Ended()
    with open_evaluator("auto", SMOKE) as evaluator:
        first = Runs(evaluator, tmp_path, 2, ended).all([good, good, bad])
        again = Runs(evaluator, tmp_path, 2, ended).all([good, bad])
        (kept,) = tmp_path.glob("smoke-text-3-*.json")
        kept.write_text(kept.read_text()[:20])
        torn = Runs(evaluator, tmp_path, 1, ended).one(good)
    kept_before = first[good]
    assert isinstance(kept_before, Run)
    assert isinstance(first[bad], Failed)
    assert again[good] == first[good]
    assert sorted(job == good for job in ended.jobs) == [False, False, True, True]
    # Half a file counts as none, and what is trained anew has the same loss bit by bit.
    assert isinstance(torn, Run)
    assert torn.loss == kept_before.loss
    assert seconds_a_run(tmp_path, "smoke") == torn.seconds
    assert seconds_a_run(tmp_path, "laptop") is None


def test_a_run_without_time_is_the_fault_of_the_machine(tmp_path: Path) -> None:
    hurried = SMOKE.model_copy(update={"seconds": 1})
    stuck = source_of("no mixing").replace("o = v", "while True: o = v")
    with open_evaluator("auto", hurried) as evaluator:
        runs = Runs(evaluator, tmp_path, 1, Ended())
        with pytest.raises(UserError, match="did not end in time"):
            runs.all([Job(stuck, "text", 0)])
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.slow
def test_a_calibration_of_real_runs_goes_on_where_it_was(tmp_path: Path) -> None:
    pairs = [pair for pair in PAIRS if pair.metric in ("text", "markov")][-2:]
    ended = Ended()
    with open_evaluator("auto", SMOKE) as evaluator:
        runs, stamp = Runs(evaluator, tmp_path, 2, ended), (SMOKE.name, evaluator.provenance)
        found = measure(runs, pairs, stamp, 0, 2)
        null = measure_null(runs, SMOKE, evaluator.provenance, 4)
        made = len(ended.jobs)
        assert measure(runs, pairs, stamp, 0, 2) == found
        assert measure_null(runs, SMOKE, evaluator.provenance, 4) == null
    assert len(ended.jobs) == made
    assert len(found.judged) == 2
    assert all(isinstance(one.decision, Decided) for one in found.judged)
    # Noise floor of 2 and the repeats, the holdout seeds, and 4, 4 and 8 runs of copies.
    assert len(null.losses) == 3 + 8 + 4 + 4 + 8
    assert null.false_claims <= 0.01 * null.count
    assert template_source(null.root) in {job.source for job in ended.jobs}
