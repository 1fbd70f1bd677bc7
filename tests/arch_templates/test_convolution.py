"""Short causal filters and the shift by one token, beyond what `test_ops` tells of them."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from move37.arch_templates.ops.convolution import ShortConvolution, causal_conv, token_shift
from move37.arch_templates.ops.fir import naive_causal_fir
from tests.arch_templates.oracle import (
    assert_leaves_arguments_alone,
    assert_same,
    assert_survives_poison,
    gap,
    of_fla,
    randn,
)


@pytest.mark.parametrize("width", [1, 4, 64])
@pytest.mark.parametrize("length", [1, 2, 37])
@pytest.mark.parametrize("state", [False, True])
def test_the_filter_equals_the_sum_over_its_taps_with_its_gradients(
    width: int, length: int, state: bool
) -> None:
    args = {"x": randn(1, 2, length, 3), "weight": randn(2, 3, width)}
    if state:
        args["state"] = randn(3, 2, width - 1, 3)
    assert_same(naive_causal_fir, causal_conv, args)


@settings(max_examples=30, deadline=None)
@given(
    b=st.integers(1, 3),
    t=st.integers(1, 20),
    d=st.integers(1, 5),
    width=st.integers(1, 6),
    cuts=st.lists(st.integers(0, 20), max_size=3),
)
def test_any_cuts_give_the_same(b: int, t: int, d: int, width: int, cuts: list[int]) -> None:
    x, layer = randn(1, b, t, d), ShortConvolution(d, width).double()
    edges = [0, *sorted(min(cut, t) for cut in cuts), t]
    for call in (layer, token_shift):
        whole, last = call(x)
        state, outputs = None, []
        for start, end in itertools.pairwise(edges):
            if end > start:
                output, state = call(x[:, start:end], state)
                outputs.append(output)
        assert (torch.cat(outputs, 1) - whole).abs().max() <= 1e-12
        assert state is not None
        assert torch.equal(state, last)


def test_arguments_are_left_alone_and_memory_that_was_never_written_is_not_read() -> None:
    for length in (1, 20):
        args = {"x": randn(1, 2, length, 3), "weight": randn(2, 3, 4), "state": randn(3, 2, 3, 3)}
        assert_leaves_arguments_alone(causal_conv, args)
        assert_survives_poison(causal_conv, args)
        shift = {"x": args["x"], "state": args["state"][:, :1]}
        assert_leaves_arguments_alone(token_shift, shift)
        assert_survives_poison(token_shift, shift)


def test_the_shift_and_its_state_are_those_of_fla_core() -> None:
    x = randn(1, 2, 7, 3)
    # Theirs returns what is to be added to x to get the token before.
    difference = of_fla("fla.modules.token_shift", "token_shift_ref")(x)
    assert gap(token_shift(x)[0], x + difference) <= 1e-12
