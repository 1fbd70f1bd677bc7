"""What a campaign saved by stopping early, counted from its records."""

from __future__ import annotations

from collections.abc import Sequence

from move37.evaluation.saving import saving, told
from move37.records import CurvePoint, Experiment, Failed, Measured, Spared
from tests.move37_package import sample

TEXT, RECALL = 60, 40


def curve(text: int = TEXT, recall: int = RECALL) -> tuple[CurvePoint, ...]:
    steps = [("text", n) for n in range(1, text + 1)] + [
        ("recall", n) for n in range(1, recall + 1)
    ]
    return tuple(CurvePoint(task=task, step=n, loss=3.0, seconds=n) for task, n in steps)


def ended(number: int, loss: float, spared: Spared | None = None) -> Experiment:
    run = sample.measured(number, loss).model_copy(update={"curve": curve(), "spared": spared})
    return sample.experiment(number, 0, f"design-{number}", run, fitness=0.5)


def broken(number: int, stage: str, steps: int) -> Experiment:
    failed = Failed.model_validate({"stage": stage, "reason": "r", "curve": curve(steps, 0)})
    return sample.experiment(number, 0, f"design-{number}", failed, status="failed")


def count(experiments: Sequence[Experiment]) -> tuple[int, ...]:
    baseline = sample.campaign().baseline
    assert baseline is not None
    found = saving(experiments, baseline.model_copy(update={"curve": curve()}))
    return (found.planned, found.made, found.pruned, found.spared, found.would_stop, found.lost)


def test_what_was_stopped_saves_the_rest_of_both_tasks_and_a_fault_saves_nothing() -> None:
    experiments = [ended(1, 2.3), broken(2, "pruned", 15), broken(3, "train", 15)]
    assert count(experiments) == (200, 115, 1, 0, 0, 0)


def test_a_spared_run_that_would_have_been_stopped_counts_as_lost_only_in_the_top_quarter() -> None:
    lagged, ahead = Spared(reason="loss 3 at step 15"), Spared()
    runs = [ended(1, 2.1, lagged), ended(2, 2.2, ahead), ended(3, 2.3, lagged), ended(4, 2.4)]
    # Four of eight runs were stopped, so that the top quarter are the best two that ended.
    stopped = [broken(number, "pruned", 15) for number in range(5, 9)]
    assert count([*runs, *stopped]) == (800, 460, 4, 3, 2, 1)


def test_a_campaign_without_runs_saves_nothing() -> None:
    assert count([]) == (0, 0, 0, 0, 0, 0)


def test_the_sentence_has_the_saving_and_what_the_spared_ones_say() -> None:
    baseline = sample.campaign().baseline
    assert baseline is not None
    full = baseline.model_copy(update={"curve": curve()})
    runs = [ended(1, 2.1, Spared(reason="r")), broken(2, "pruned", 15)]
    assert told(saving(runs, full)) == (
        "43% of 200 training steps saved; runs stopped early: 1; spared by lot: 1, of which "
        "1 would have been stopped and 1 of these ended in the top quarter"
    )
    assert told(saving([ended(1, 2.1)], full)) == (
        "0% of 100 training steps saved; runs stopped early: 0; spared by lot: 0"
    )


def test_a_record_from_before_the_lot_still_loads() -> None:
    old = sample.measured(1, 2.3).model_dump(mode="json", exclude={"spared"})
    assert Measured.model_validate(old).spared is None
