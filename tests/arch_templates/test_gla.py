"""Gated linear attention: a decay for each channel, of any strength."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from move37.arch_templates.ops.gla import chunk_gla, naive_recurrent_gla
from move37.arch_templates.ops.linear_attention import chunk_simple_gla
from tests.arch_templates.oracle import (
    CUTS,
    Call,
    assert_leaves_arguments_alone,
    assert_same,
    assert_single_is_near,
    assert_survives_poison,
    gap,
    of_fla,
    randn,
    rmse,
    values_and_gradients,
)

NAIVE: Call = functools.partial(naive_recurrent_gla, output_final_state=True)
CHUNK: Call = functools.partial(chunk_gla, output_final_state=True)


def inputs(
    b: int = 2, t: int = 37, h: int = 2, k: int = 8, v: int = 6, state: bool = False
) -> dict[str, Any]:
    args = {
        "q": randn(1, b, t, h, k),
        "k": randn(2, b, t, h, k),
        "v": randn(3, b, t, h, v),
        "g": -randn(4, b, t, h, k).abs(),
    }
    return args | {"initial_state": randn(5, b, h, k, v)} if state else args


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize(("length", "chunk"), [*CUTS, (50, 48), (3, 1000)])
def test_the_chunkwise_form_equals_the_definition_with_its_gradients(
    state: bool, length: int, chunk: int
) -> None:
    assert_same(NAIVE, CHUNK, inputs(t=length, state=state), chunk_size=chunk)


def test_single_precision_stays_near_the_definition_in_double() -> None:
    assert_single_is_near(NAIVE, CHUNK, inputs(t=200, k=24, v=24, state=True))


@settings(max_examples=30, deadline=None)
@given(
    b=st.integers(1, 3),
    t=st.integers(1, 40),
    h=st.integers(1, 3),
    k=st.integers(1, 9),
    v=st.integers(1, 9),
    chunk=st.integers(1, 48),
    cut=st.integers(1, 40),
    strength=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 1e4, float("inf")]),
)
def test_any_shape_any_cut_and_any_strength_give_the_definition(
    b: int, t: int, h: int, k: int, v: int, chunk: int, cut: int, strength: float
) -> None:
    args = inputs(b, t, h, k, v)
    args["g"] = args["g"] * strength
    expected, _ = naive_recurrent_gla(**args)
    state = None
    outputs = []
    for part in (slice(0, cut), slice(cut, t)):
        if range(t)[part]:
            piece = {name: x[:, part] for name, x in args.items()}
            output, state = CHUNK(**piece, initial_state=state, chunk_size=chunk)
            outputs.append(output)
    assert (torch.cat(outputs, 1) - expected).abs().max() <= 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_strong_decays_beside_weak_ones_lose_no_digits(dtype: torch.dtype) -> None:
    args = {name: x.to(dtype) for name, x in inputs(t=100, state=True).items()}
    args["g"] *= 1e-2
    args["g"][:, ::3, :, ::2] = -1e4
    args["g"][:, 50, :, :4] = -torch.inf
    found = values_and_gradients(CHUNK, args)
    expected = values_and_gradients(NAIVE, {name: x.double() for name, x in args.items()})
    for a, b in zip(found, expected, strict=True):
        assert a.isfinite().all()
        assert rmse(a.double(), b) <= (1e-6 if dtype == torch.float32 else 1e-14)


def test_equal_decays_in_all_channels_are_a_scalar_decay() -> None:
    args = inputs()
    args["g"] = args["g"][..., :1].expand_as(args["g"])
    scalar = chunk_simple_gla(args["q"], args["k"], args["v"], args["g"][..., 0])[0]
    assert gap(chunk_gla(**args)[0], scalar) <= 1e-12


def test_the_future_does_not_reach_the_past() -> None:
    args = inputs(t=70)
    before = chunk_gla(**args)[0]
    for x in args.values():
        x[:, 50:] *= 30
    after = chunk_gla(**args)[0]
    assert torch.equal(after[:, :50], before[:, :50])
    assert gap(after[:, 50:], before[:, 50:]) > 1e-3


def test_arguments_are_left_alone_and_no_state_is_returned_unless_asked_for() -> None:
    for call in (naive_recurrent_gla, chunk_gla):
        for length in (1, 40):
            args = inputs(t=length, state=True)
            assert_leaves_arguments_alone(call, args)
            assert call(**args)[1] is None


def test_nothing_depends_on_memory_that_was_never_written() -> None:
    assert_survives_poison(CHUNK, inputs())


def test_second_derivatives_are_right() -> None:
    args = [x.requires_grad_() for x in inputs(b=1, t=5, h=1, k=2, v=2).values()]
    assert torch.autograd.gradgradcheck(
        lambda q, k, v, g: chunk_gla(q, k, v, g, chunk_size=4)[0], args
    )


def test_half_precision_comes_back_while_the_state_keeps_single() -> None:
    args = {name: x.bfloat16() for name, x in inputs(t=70).items()}
    exact = {name: x.double() for name, x in args.items()}
    for call in (NAIVE, CHUNK):
        output, state = call(**args)
        assert output.dtype == torch.bfloat16
        assert state.dtype == torch.float32
        assert gap(output.double(), call(**exact)[0]) <= 0.01


def test_the_definition_is_that_of_fla_core() -> None:
    args = {name: x.float() for name, x in inputs(state=True).items()}
    naive = of_fla("fla.ops.gla.naive", "naive_recurrent_gla")
    q, k, v, g, state = args.values()
    expected, last = naive(q, k, v, g, initial_state=state, output_final_state=True)
    for a, b in zip(NAIVE(**args), (expected, last), strict=True):
        assert gap(a, b) <= 1e-5


@pytest.mark.parametrize("call", [naive_recurrent_gla, chunk_gla])
@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("q", (2, 0, 2, 8), r"q has shape \[2, 0, 2, 8\], expected \[B, T, H, K\] with T >= 1"),
        ("k", (2, 37, 2, 7), r"k has shape .*, expected \[B, T, H, K\] = \[2, 37, 2, 8\]"),
        ("v", (2, 36, 2, 6), r"v has shape .*, expected \[B, T, H, V\] = \[2, 37, 2, 6\]"),
        ("g", (2, 37, 2), r"g has shape .*, expected \[B, T, H, K\] = \[2, 37, 2, 8\]"),
        ("initial_state", (2, 2, 6, 8), r"initial_state has .* \[B, H, K, V\] = \[2, 2, 8, 6\]"),
    ],
)
def test_a_wrong_shape_is_named_with_what_was_found_and_expected(
    call: Any, name: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call(**inputs() | {name: torch.zeros(shape, dtype=torch.float64)})


def test_a_chunk_size_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="chunk_size is 0, expected at least 1"):
        chunk_gla(**inputs(), chunk_size=0)
