"""Pairs before a judge that must not know which is which."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import pytest

from move37.evaluation.calibration import controls
from move37.evaluation.calibration.controls import Decided, Undecided, decide, measure, swapped
from move37.evaluation.calibration.pairs import PAIRS, source_of
from move37.evaluation.calibration.runs import Job, Run
from move37.evaluation.statistics.intervals import share_interval
from move37.records import Failed, Provenance

PROVENANCE = Provenance(evaluator="e", data="d", tier="t", torch="2", machine="m", isolation="i")
STAMP = ("smoke", PROVENANCE)
FAILED = Failed(stage="train", reason="diverged")


class Known:
    """Runs whose losses are told by a function of source and seed."""

    def __init__(self, loss: Callable[[Job], Run | Failed]) -> None:
        self._loss = loss

    def all(self, jobs: Sequence[Job]) -> dict[Job, Run | Failed]:
        return {job: self._loss(job) for job in jobs}


def _run(loss: float, seed: int = 0) -> Run:
    return Run(metric="text", seed=seed, loss=loss, seconds=1.0)


def _runs(*losses: float) -> list[Run]:
    return [_run(loss, seed) for seed, loss in enumerate(losses)]


def _theory(job: Job) -> Run:
    """Losses as the pairs foresee them: a design is as bad as the longest way down to it."""
    worst = sum(_depth(job.source, job.metric)) / 10
    return _run(worst + 0.01 * job.seed, job.seed)


def _depth(source: str, metric: str) -> list[float]:
    above = [p.better for p in PAIRS if p.metric == metric and source_of(p.worse) == source]
    return [1.0, *(max((_depth(source_of(name), metric) for name in above), key=sum, default=[]))]


def _judged(order_seed: int, loss: Callable[[Job], Run | Failed] = _theory) -> controls.Controls:
    return measure(Known(loss), PAIRS, STAMP, order_seed, 3)  # type: ignore[arg-type]


def test_the_lower_mean_at_the_same_seeds_is_picked() -> None:
    found = decide(_runs(1.0, 2.0, 3.0), _runs(1.1, 2.2, 3.1))
    assert isinstance(found, Decided)
    assert found.picked == "first"
    assert found.paired.gain == pytest.approx(0.4 / 3)


def test_the_order_in_which_two_designs_come_does_not_change_which_is_picked() -> None:
    one, other = _runs(1.0, 2.4, 3.0), _runs(1.1, 2.2, 3.2)
    ahead, behind = decide(one, other), decide(other, one)
    assert isinstance(ahead, Decided)
    assert isinstance(behind, Decided)
    assert (ahead.picked, behind.picked) == ("first", "second")
    assert ahead.paired == behind.paired


def test_the_judge_is_given_runs_and_nothing_that_names_a_design() -> None:
    assert list(inspect.signature(decide).parameters) == ["first", "second"]
    assert set(Run.model_fields) == {"kind", "metric", "seed", "loss", "seconds"}


def test_the_order_is_drawn_by_seed_and_both_orders_occur() -> None:
    drawn = {seed: tuple(swapped(pair, seed) for pair in PAIRS) for seed in range(8)}
    assert drawn[3] == tuple(swapped(pair, 3) for pair in PAIRS)
    assert len(set(drawn.values())) == 8
    assert all(0 < sum(order) < len(PAIRS) for order in drawn.values())


def test_another_drawn_order_changes_no_decision() -> None:
    first, second = _judged(1), _judged(2)
    assert [one.swapped for one in first.judged] != [one.swapped for one in second.judged]
    for one, again in zip(first.judged, second.judged, strict=True):
        assert isinstance(one.decision, Decided)
        assert isinstance(again.decision, Decided)
        assert (one.right, one.decision.paired) == (again.right, again.decision.paired)


def test_losses_as_theory_foresees_them_are_all_right_and_their_mirror_all_wrong() -> None:
    def mirrored(job: Job) -> Run:
        found = _theory(job)
        return found.model_copy(update={"loss": -found.loss})

    right, wrong = _judged(5), _judged(5, mirrored)
    assert (right.right, right.passed) == (len(PAIRS), True)
    assert (wrong.right, wrong.passed) == (0, False)
    assert right.accuracy.low > 0.7 > 0.3 > wrong.accuracy.high


@pytest.mark.parametrize(("misses", "passed"), [(1, True), (2, False)])
def test_one_of_thirteen_may_be_wrong_and_no_second(misses: int, passed: bool) -> None:
    def failing(job: Job) -> Run | Failed:
        names = [source_of(pair.better) for pair in PAIRS[-misses - 1 : -1]]
        chosen = job.metric == "parity" and job.source in names
        return FAILED if chosen else _theory(job)

    found = _judged(0, failing)
    assert found.right == len(PAIRS) - misses
    assert found.passed is passed


def test_a_design_that_fails_and_a_tie_decide_nothing() -> None:
    failed, tied = decide(_runs(1.0, 1.0), [_run(1.0), FAILED]), decide(_runs(1, 2), _runs(2, 1))
    assert isinstance(failed, Undecided)
    assert "the second failed at train: diverged" in failed.reason
    assert isinstance(tied, Undecided)


def test_the_interval_of_a_share_is_that_of_clopper_and_pearson() -> None:
    # No hit in n tries: the upper end solves (1 - p)^n = 0.025.
    none = share_interval(0, 300)
    assert none.low == 0.0
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 300))
    assert share_interval(12, 12).low == pytest.approx(0.025 ** (1 / 12))
    with pytest.raises(ValueError, match="have no share"):
        share_interval(3, 2)
