"""What a run takes, and tiers that this machine cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest

from move37.arch_templates.catalog import template_source
from move37.evaluation import estimate, sizes
from move37.evaluation.data import load_corpus
from move37.evaluation.evaluate import Evaluator
from move37.evaluation.isolation.nursery import Nursery
from move37.evaluation.machine import Gpu
from move37.evaluation.tiers import Tier, load_tier
from move37.records import Measured, UserError

TIERS = ("smoke", "laptop", "gpu", "paper-explore", "paper-verify")


def test_parameters_by_arithmetic_are_those_counted_in_the_weights(nursery: Nursery) -> None:
    tier = load_tier("smoke")
    measured = Evaluator(tier, load_corpus(), nursery).rehearse(template_source("delta_net"), 1)
    assert isinstance(measured, Measured)
    assert measured.size.parameters == max(
        sizes.parameters(tier)[1] + task.vocabulary * tier.hidden
        for _, task in sizes.tasks_of(tier)
    )


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("laptop", 5e4, 1e5),
        ("gpu", 1.0e7, 2.0e7),
        ("paper-explore", 1.8e7, 2.2e7),
        ("paper-verify", 3.4e8, 4.0e8),
    ],
)
def test_a_shipped_tier_has_the_size_that_it_is_named_for(
    name: str, least: float, most: float
) -> None:
    everything, inner = sizes.parameters(load_tier(name))
    assert least <= (inner if name == "gpu" else everything) <= most


def test_a_tier_that_needs_cuda_is_refused_where_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "gpus", list)
    with pytest.raises(UserError, match="tier gpu needs CUDA, and no GPU is there; use"):
        estimate.require(load_tier("gpu"))


def test_a_tier_that_does_not_fit_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "gpus", lambda: [Gpu(name="small", memory=8 << 30)])
    with pytest.raises(UserError, match=r"needs about [\d.]+ GiB .* the GPU has 8.0 GiB; raise"):
        estimate.require(load_tier("gpu"))
    monkeypatch.setattr(estimate, "usable_memory", lambda: 1 << 28)
    with pytest.raises(UserError, match=r"this machine has 0.2 GiB"):
        estimate.require(load_tier("laptop"))


def test_more_parts_take_less_memory() -> None:
    tier = load_tier("paper-explore")
    whole = tier.model_copy(update={"text": tier.text.model_copy(update={"parts": 1})})
    assert sizes.memory_bytes(whole) > 8 * sizes.memory_bytes(tier)


def test_a_measured_time_is_kept_for_the_machine(nursery: Nursery, tmp_path: Path) -> None:
    asked: list[Tier] = []

    def opened() -> Nursery:
        asked.append(load_tier("smoke"))
        return nursery

    first = estimate.timed(load_tier("smoke"), tmp_path, opened)
    assert first == estimate.timed(load_tier("smoke"), tmp_path, opened)
    assert isinstance(first, estimate.Timed)
    assert 0 < first.low <= first.seconds <= first.high
    assert first.peak_bytes > 1 << 26
    assert len(asked) == 1
