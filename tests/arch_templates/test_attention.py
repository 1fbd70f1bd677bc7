"""Softmax attention over a window and over everything."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from move37.arch_templates.ops.attention import (
    causal_attention,
    naive_attention,
    sliding_window_attention,
)
from move37.arch_templates.ops.rotary import apply_rotary
from tests.arch_templates.oracle import (
    CUTS,
    assert_leaves_arguments_alone,
    assert_same,
    assert_single_is_near,
    assert_survives_poison,
    gap,
    of_fla,
    randn,
)


def inputs(b: int = 2, t: int = 37, h: int = 2, k: int = 8, v: int = 8) -> dict[str, Any]:
    return {"q": randn(1, b, t, h, k), "k": randn(2, b, t, h, k), "v": randn(3, b, t, h, v)}


def outputs_only(call: Any, **options: object) -> Any:
    return lambda **args: call(**args, **options)[0]


def in_pieces(call: Any, args: dict[str, Any], cuts: list[int]) -> tuple[Tensor, Any]:
    state, outputs = None, []
    edges = [0, *cuts, args["q"].shape[1]]
    for start, end in itertools.pairwise(edges):
        if end > start:
            piece = {name: x[:, start:end] for name, x in args.items()}
            output, state = call(**piece, state=state)
            outputs.append(output)
    return torch.cat(outputs, 1), state


@pytest.mark.parametrize("window", [1, 2, 5, 16, 64, 200])
@pytest.mark.parametrize(("length", "chunk"), CUTS)
def test_a_window_in_blocks_equals_the_definition_with_its_gradients(
    window: int, length: int, chunk: int
) -> None:
    naive = functools.partial(naive_attention, window_size=window)
    blocks = outputs_only(sliding_window_attention, window_size=window, chunk_size=chunk)
    assert_same(naive, blocks, inputs(t=length))
    assert_same(naive, blocks, inputs(t=length, v=5))


@pytest.mark.parametrize("length", [1, 2, 37, 130])
def test_full_attention_equals_the_definition_with_its_gradients(length: int) -> None:
    assert_same(naive_attention, outputs_only(causal_attention), inputs(t=length))
    assert_same(naive_attention, outputs_only(causal_attention), inputs(t=length, v=5))


def test_single_precision_stays_near_the_definition_in_double() -> None:
    args = inputs(t=200, k=24, v=24)
    window = outputs_only(sliding_window_attention, window_size=32)
    assert_single_is_near(functools.partial(naive_attention, window_size=32), window, args)
    assert_single_is_near(naive_attention, outputs_only(causal_attention), args)


@settings(max_examples=40, deadline=None)
@given(
    b=st.integers(1, 3),
    t=st.integers(1, 40),
    h=st.integers(1, 3),
    k=st.integers(1, 9),
    v=st.integers(1, 9),
    window=st.one_of(st.none(), st.integers(1, 50)),
    chunk=st.one_of(st.none(), st.integers(1, 48)),
    cuts=st.lists(st.integers(0, 40), max_size=3),
)
def test_any_shape_and_any_cut_give_the_definition(
    b: int, t: int, h: int, k: int, v: int, window: int | None, chunk: int | None, cuts: list[int]
) -> None:
    args = inputs(b, t, h, k, v)
    call: Any = causal_attention
    if window is not None:
        call = functools.partial(sliding_window_attention, window_size=window, chunk_size=chunk)
    found, _ = in_pieces(call, args, sorted(min(cut, t) for cut in cuts))
    assert (found - naive_attention(**args, window_size=window)).abs().max() <= 1e-9


def test_gradients_flow_through_the_state() -> None:
    args = inputs(t=30)
    for naive, call in (
        (naive_attention, causal_attention),
        (
            functools.partial(naive_attention, window_size=7),
            functools.partial(sliding_window_attention, window_size=7),
        ),
    ):
        assert_same(naive, lambda call=call, **args: in_pieces(call, args, [4, 20])[0], args)


def test_the_state_of_a_window_is_bounded_and_tells_the_position() -> None:
    for length in (1, 3, 50):
        args = inputs(t=length)
        _, (keys, values, position) = sliding_window_attention(**args, window_size=5)
        assert keys.shape == values.shape == (2, 4, 2, 8)
        assert position == length
        held = min(length, 4)
        assert torch.equal(keys[:, 4 - held :], args["k"][:, length - held :])
        assert not keys[:, : 4 - held].any()


def test_what_has_left_the_window_is_forgotten_and_zeros_before_the_start_are_not_seen() -> None:
    args = inputs(t=30)
    before = sliding_window_attention(**args, window_size=6)[0]
    for name in "kv":
        args[name][:, 10] += 100
    after = sliding_window_attention(**args, window_size=6)[0]
    assert torch.equal(after[:, :10], before[:, :10])
    assert torch.equal(after[:, 16:], before[:, 16:])
    assert gap(after[:, 10:16], before[:, 10:16]) > 1
    assert (
        gap(sliding_window_attention(**inputs(), window_size=6)[0][:, 0], inputs()["v"][:, 0]) == 0
    )


def test_positions_are_handed_on_so_that_rotation_may_be_cut() -> None:
    def rotated(state: Any = None, **args: Tensor) -> tuple[Tensor, Any]:
        start = 0 if state is None else state[2]
        q, k = apply_rotary(args["q"], start), apply_rotary(args["k"], start)
        return sliding_window_attention(q, k, args["v"], 9, state=state)

    args = inputs(t=40)
    assert gap(in_pieces(rotated, args, [1, 2, 20])[0], rotated(**args)[0]) <= 1e-12


def test_the_scale_is_one_over_root_k_unless_given() -> None:
    args = inputs()
    for call in (
        naive_attention,
        outputs_only(sliding_window_attention, window_size=5),
        outputs_only(causal_attention),
    ):
        assert gap(call(**args), call(**args, scale=8**-0.5)) <= 1e-12
        assert gap(call(**args, scale=1.0), call(**args)) > 1e-2


def test_the_work_of_a_window_is_linear_in_the_length() -> None:
    counts = []
    for length in (256, 512, 1024):
        # The stock counter does not know the fused kernel of a CPU.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            sliding_window_attention(**inputs(t=length), window_size=32)
        counts.append(counter.get_total_flops())
    assert counts[0] > 0
    assert counts[1] - counts[0] == counts[0]
    assert counts[2] - counts[1] == 2 * counts[0]


def test_arguments_are_left_alone_and_memory_that_was_never_written_is_not_read() -> None:
    for call in (functools.partial(sliding_window_attention, window_size=7), causal_attention):
        state = call(**inputs(t=9))[1]
        assert all(not x.requires_grad for x in tree_leaves(state))
        assert_leaves_arguments_alone(call, inputs() | {"state": state})
        assert_survives_poison(call, inputs() | {"state": state})


def test_the_definition_is_that_of_fla_core() -> None:
    naive = of_fla("fla.ops.attn.naive", "naive_parallel_attn")
    args = {name: x.float() for name, x in inputs().items()}
    for window in (None, 7):
        expected = naive(**args, window_size=window)[0]
        assert gap(naive_attention(**args, window_size=window), expected) <= 1e-5


def test_a_wrong_argument_is_named_with_what_was_found_and_expected() -> None:
    args = inputs(t=9)
    _, (keys, values, position) = sliding_window_attention(**args, window_size=4)
    window = functools.partial(sliding_window_attention, window_size=4)
    for call in (window, causal_attention, naive_attention):
        with pytest.raises(ValueError, match=r"q has shape \[2, 0, 2, 8\], .* with T >= 1"):
            call(**args | {"q": args["q"][:, :0]})
        with pytest.raises(ValueError, match=r"k has shape .* \[B, T, H, K\] = \[2, 9, 2, 8\]"):
            call(**args | {"k": args["k"][:, :8]})
    wrong: list[tuple[Any, Any, str]] = [
        (
            window,
            (keys[:, :2], values, position),
            r"state\[0\] .* \[B, W - 1, H, K\] = \[2, 3, 2, 8",
        ),
        (
            window,
            (keys, values[..., :5], position),
            r"state\[1\] .* \[B, W - 1, H, V\] = \[2, 3, 2",
        ),
        (
            window,
            (keys, values, position[None]),
            r"state\[2\] has shape \[1\], expected \[\] = \[\]",
        ),
        (window, (keys, values, position.to("meta")), r"state\[2\] is on meta, expected cpu"),
        (window, (keys.to("meta"), values, position), r"state\[0\] is on meta, expected cpu"),
        (causal_attention, (keys[0], values), r"state\[0\] has .*, expected \[B, T', H, K\]"),
        (causal_attention, (keys, values[:, 1:]), r"state\[1\] has .*, expected \[B, T', H, V\]"),
    ]
    for call, state, message in wrong:
        with pytest.raises(ValueError, match=message):
            call(**args, state=state)
    with pytest.raises(ValueError, match="window_size is 0, expected at least 1"):
        sliding_window_attention(**args, window_size=0)
    with pytest.raises(ValueError, match="chunk_size is 0, expected at least 1"):
        sliding_window_attention(**args, window_size=4, chunk_size=0)
