"""Long causal filters in chunks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from move37.arch_templates.ops.convolution import causal_conv
from move37.arch_templates.ops.fir import chunk_causal_fir, naive_causal_fir
from tests.arch_templates.oracle import (
    CUTS,
    assert_leaves_arguments_alone,
    assert_same,
    assert_single_is_near,
    assert_survives_poison,
    gap,
    randn,
)


def inputs(
    t: int = 37, width: int = 21, b: int = 2, d: int = 3, state: bool = False
) -> dict[str, Any]:
    args = {"x": randn(1, b, t, d), "weight": randn(2, d, width)}
    return args | {"state": randn(3, b, width - 1, d)} if state else args


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("width", [1, 2, 21, 100])
@pytest.mark.parametrize(("length", "chunk"), CUTS)
def test_the_chunkwise_form_equals_the_sum_over_the_taps_with_its_gradients(
    state: bool, width: int, length: int, chunk: int
) -> None:
    args = inputs(length, width, state=state)
    assert_same(naive_causal_fir, chunk_causal_fir, args, chunk_size=chunk)


def test_single_precision_stays_near_the_definition_in_double() -> None:
    assert_single_is_near(naive_causal_fir, chunk_causal_fir, inputs(200, 128, state=True))


@settings(max_examples=30, deadline=None)
@given(
    t=st.integers(1, 60),
    width=st.integers(1, 70),
    b=st.integers(1, 3),
    d=st.integers(1, 4),
    chunk=st.integers(1, 70),
    cut=st.integers(1, 60),
)
def test_any_shape_and_any_cut_give_the_definition(
    t: int, width: int, b: int, d: int, chunk: int, cut: int
) -> None:
    args = inputs(t, width, b, d)
    expected, last = naive_causal_fir(**args)
    state = None
    outputs = []
    for part in (slice(0, cut), slice(cut, t)):
        if range(t)[part]:
            piece, weight = args["x"][:, part], args["weight"]
            output, state = chunk_causal_fir(piece, weight, state, chunk_size=chunk)
            outputs.append(output)
    assert state is not None
    assert (torch.cat(outputs, 1) - expected).abs().max() <= 1e-9
    assert torch.equal(state, last)


def test_the_definition_is_that_of_the_short_convolution() -> None:
    args = inputs(width=4, state=True)
    for a, b in zip(naive_causal_fir(**args), causal_conv(**args), strict=True):
        assert gap(a, b) <= 1e-12


def test_an_impulse_answers_with_the_filter_from_its_last_tap_to_its_first() -> None:
    x = torch.zeros(1, 6, 1)
    x[0, 1] = 1.0
    weight = torch.tensor([[3.0, 2.0, 1.0]])
    y, state = chunk_causal_fir(x, weight, chunk_size=2)
    assert y.flatten().tolist() == [0.0, 1.0, 2.0, 3.0, 0.0, 0.0]
    assert state.shape == (1, 2, 1)


def test_not_even_rounding_comes_from_the_future() -> None:
    args = inputs(t=70)
    before = chunk_causal_fir(**args, chunk_size=32)[0]
    args["x"][:, 50:] *= 1e6
    after = chunk_causal_fir(**args, chunk_size=32)[0]
    assert torch.equal(after[:, :50], before[:, :50])
    assert gap(after[:, 50:], before[:, 50:]) > 1


def test_the_work_is_linear_in_the_length() -> None:
    counts = []
    for length in (256, 512, 1024):
        with FlopCounterMode(display=False) as counter:
            chunk_causal_fir(**inputs(length, 64))
        counts.append(counter.get_total_flops())
    assert counts[1] - counts[0] == counts[0]
    assert counts[2] - counts[1] == 2 * counts[0]


def test_arguments_are_left_alone_and_memory_that_was_never_written_is_not_read() -> None:
    for length in (1, 20):
        assert_leaves_arguments_alone(chunk_causal_fir, inputs(length, state=True))
        assert_survives_poison(chunk_causal_fir, inputs(length, state=True))


@pytest.mark.parametrize("call", [naive_causal_fir, chunk_causal_fir])
def test_a_wrong_argument_is_named_with_what_was_found_and_expected(call: object) -> None:
    assert callable(call)
    x, weight = inputs().values()
    with pytest.raises(
        ValueError, match=r"x has shape \[2, 0, 3\], expected \[B, T, D\] with T >="
    ):
        call(x[:, :0], weight)
    with pytest.raises(ValueError, match=r"weight has shape \[21\], expected \[D, W\] with W >= 1"):
        call(x, weight[0])
    with pytest.raises(
        ValueError, match=r"weight has shape \[2, 21\], expected \[D, W\] = \[3, 21"
    ):
        call(x, weight[:2])
    with pytest.raises(ValueError, match=r"state has .*, expected \[B, W - 1, D\] = \[2, 20, 3\]"):
        call(x, weight, x)
    with pytest.raises(ValueError, match="weight is on meta, expected cpu, where x is"):
        call(x, weight.to("meta"))


def test_a_chunk_size_of_zero_is_refused() -> None:
    for length in (1, 9):
        with pytest.raises(ValueError, match="chunk_size is 0, expected at least 1"):
            chunk_causal_fir(**inputs(length), chunk_size=0)
