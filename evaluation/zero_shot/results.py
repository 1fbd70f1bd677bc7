"""What is measured of a benchmark: one run item by item, and a design beside the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from move37.evaluation.statistics.ratio import Estimate, ratio_of_sums
from move37.records import Failed, Finite, GateReport, TaskScore, Value

BITS = "bits_per_byte"


class TaskItems(Value):
    """A task that can be run here: how many items of it, and the hash of all that is asked."""

    task: str
    items: int
    digest: str


class Metric(Value):
    """One figure item by item: its value is the sum of `values` over the sum of `weights`.

    For accuracies each weight is 1. For bits per byte, `values` are the bits of the gold
    continuation and `weights` its bytes in UTF-8. `chance` is what a blind guess among the choices
    gets, None where there are no choices.
    """

    name: str
    higher_is_better: bool
    values: tuple[Finite, ...]
    weights: tuple[Finite, ...]
    chance: Finite | None

    @model_validator(mode="after")
    def _one_weight_each(self) -> Metric:
        if len(self.values) != len(self.weights):
            raise ValueError("as many weights as values are needed")
        return self

    @property
    def estimate(self) -> Estimate:
        """The figure and its standard error over items."""
        return ratio_of_sums(np.array(self.values), np.array(self.weights))


class TaskRun(Value):
    """One task asked of one trained model."""

    asked: TaskItems
    metrics: tuple[Metric, ...] = Field(min_length=1)


class BenchmarkRun(Value):
    """One source trained on text at one seed, and what it made of each task.

    `text` is its held-out loss and `audit` holds the checks of the trained weights.
    """

    kind: Literal["benchmarks"] = "benchmarks"
    seed: int
    text: TaskScore
    audit: GateReport
    tasks: tuple[TaskRun, ...] = Field(min_length=1)
    cpu_seconds: Finite
    train_seconds: Finite
    task_seconds: Finite


BenchmarkOutcome = Annotated[BenchmarkRun | Failed, Field(discriminator="kind")]


class MetricResult(Value):
    """One figure of a design and of the baseline; `difference` is paired by item."""

    name: str
    higher_is_better: bool
    chance: Finite | None
    value: Estimate
    baseline: Estimate
    difference: Estimate


class TaskResult(Value):
    """One task of a design beside the baseline on the same items."""

    task: str
    items: int
    metrics: tuple[MetricResult, ...]


def compare_runs(ours: Sequence[TaskRun], theirs: Sequence[TaskRun]) -> list[TaskResult]:
    """Join the tasks of two models, item by item.

    Raises:
        ValueError: they were not asked the same.
    """
    return [_joined(one, other) for one, other in zip(ours, theirs, strict=True)]


def _joined(ours: TaskRun, theirs: TaskRun) -> TaskResult:
    if ours.asked != theirs.asked:
        raise ValueError(f"{ours.asked.task}: the two models were asked different items")
    pairs = zip(ours.metrics, theirs.metrics, strict=True)
    return TaskResult(
        task=ours.asked.task,
        items=ours.asked.items,
        metrics=tuple(_against(one, other) for one, other in pairs),
    )


def _against(ours: Metric, theirs: Metric) -> MetricResult:
    if (ours.name, ours.weights) != (theirs.name, theirs.weights):
        raise ValueError(f"{ours.name}: the figures are not of the same items")
    gained = np.array(ours.values) - np.array(theirs.values)
    return MetricResult(
        name=ours.name,
        higher_is_better=ours.higher_is_better,
        chance=ours.chance,
        value=ours.estimate,
        baseline=theirs.estimate,
        difference=ratio_of_sums(gained, np.array(ours.weights)),
    )
