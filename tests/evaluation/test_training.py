"""The training loop in real boxes: batches as they are needed, parts, precision, CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import safetensors.numpy

from move37.arch_templates.catalog import template_source
from move37.evaluation import training
from move37.evaluation.data import Batches, load_corpus, text_batches
from move37.evaluation.evaluate import read_ending, read_point, read_weights
from move37.evaluation.isolation.nursery import BoxFailure, Limits, Nursery
from move37.evaluation.tiers import load_tier
from move37.records import Runtime, UserError

SOURCE = template_source("delta_net")
STEPS = 6


@pytest.fixture(scope="module")
def batches() -> Batches:
    return text_batches(load_corpus(), 0, (STEPS, 4, 64))


def split(batches: Batches, size: int) -> Iterator[Batches]:
    for first in range(0, STEPS, size):
        chosen = slice(first, first + size)
        yield Batches(batches.tokens[chosen], batches.mask[chosen])


def trained(
    nursery: Nursery, chunks: Iterator[Batches], **change: Any
) -> tuple[list[float], Runtime, bytes]:
    tier = load_tier("smoke")
    message = {**training.job(SOURCE, tier, tier.text, seed=0), "steps": STEPS, **change}
    with nursery.open_box(Limits(seconds=120)) as box:
        feed = training.Feed(box, message, chunks)
        losses = []
        for step in range(1, STEPS + 1):
            feed.before(step)
            losses.append(read_point(box, "text", step, 0.0).loss)
        _, runtime = read_ending(box)
        return losses, runtime, read_weights(box)


def test_a_run_has_the_same_bits_however_its_batches_arrive(
    nursery: Nursery, batches: Batches
) -> None:
    whole, again = (trained(nursery, split(batches, size)) for size in (STEPS, 2))
    assert whole == again
    assert whole[1] == Runtime()


def test_gradients_of_parts_add_up_to_those_of_the_whole(
    nursery: Nursery, batches: Batches
) -> None:
    whole, parts = (trained(nursery, split(batches, STEPS), parts=n) for n in (1, 4))
    assert parts[0] == pytest.approx(whole[0], abs=1e-3)
    assert parts[2] != whole[2]
    ours, theirs = (safetensors.numpy.load(run[2]) for run in (whole, parts))
    assert ours["norm.weight"] == pytest.approx(theirs["norm.weight"], abs=1e-2)


def test_bfloat16_is_told_and_a_compiler_that_the_walls_forbid_is_told_too(
    nursery: Nursery, batches: Batches
) -> None:
    plain = trained(nursery, split(batches, STEPS))
    losses, runtime, _ = trained(nursery, split(batches, STEPS), bfloat16=True, compile=True)
    assert runtime.precision == "bfloat16"
    assert not runtime.compiled
    assert runtime.remark.startswith("not compiled: ")
    assert losses != plain[0]
    assert losses == pytest.approx(plain[0], abs=0.1)


def test_trying_what_a_model_allows_changes_no_bit_of_its_training(
    nursery: Nursery, batches: Batches
) -> None:
    plain = trained(nursery, split(batches, STEPS))
    tried = trained(nursery, split(batches, STEPS), compile=True)
    assert (plain[0], plain[2]) == (tried[0], tried[2])


def test_a_runtime_of_other_words_is_not_recorded(nursery: Nursery) -> None:
    with nursery.open_box(Limits(seconds=20)) as box:
        for told in ({"device": "abacus"}, {"remark": "x" * 501}, {"more": 1}, "cpu"):
            with pytest.raises(BoxFailure, match="runtime"):
                training.read_runtime(told, box)


def test_a_box_that_cannot_use_cuda_is_one_line_before_anything_is_trained(
    nursery: Nursery,
) -> None:
    with pytest.raises(UserError, match=r"cannot use CUDA from behind its walls: .*isolation\.md"):
        training.require_cuda(nursery)
