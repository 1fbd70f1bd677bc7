"""State-space duality: the recurrence of Mamba-2, its chunkwise form and its options."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from move37.arch_templates.ops.linear_attention import naive_recurrent_simple_gla
from move37.arch_templates.ops.ssd import chunk_ssd, naive_recurrent_ssd
from tests.arch_templates.oracle import (
    CUTS,
    Call,
    assert_leaves_arguments_alone,
    assert_same,
    assert_single_is_near,
    assert_survives_poison,
    gap,
    randn,
    values_and_gradients,
)

NAIVE: Call = functools.partial(naive_recurrent_ssd, return_final_states=True, dt_softplus=True)
CHUNK: Call = functools.partial(chunk_ssd, return_final_states=True, dt_softplus=True)
OPTIONS = ("D", "z", "dt_bias", "initial_states")
OVER_TIME = ("x", "dt", "B", "C", "z")


def inputs(
    b: int = 2, t: int = 37, h: int = 4, p: int = 6, g: int = 2, n: int = 5, options: bool = False
) -> dict[str, Any]:
    args = {
        "x": randn(1, b, t, h, p),
        "dt": randn(2, b, t, h),
        "A": -randn(3, h).abs(),
        "B": randn(4, b, t, g, n),
        "C": randn(5, b, t, g, n),
    }
    if options:
        shapes = {"D": (h, p), "z": (b, t, h, p), "dt_bias": (h,), "initial_states": (b, h, p, n)}
        args |= {name: randn(6 + i, *shapes[name]) for i, name in enumerate(OPTIONS)}
    return args


@pytest.mark.parametrize("options", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("length", "chunk"), CUTS)
def test_the_chunkwise_form_equals_the_definition_with_its_gradients(
    options: bool, groups: int, length: int, chunk: int
) -> None:
    assert_same(NAIVE, CHUNK, inputs(t=length, g=groups, options=options), chunk_size=chunk)


def test_single_precision_stays_near_the_definition_in_double() -> None:
    assert_single_is_near(NAIVE, CHUNK, inputs(t=200, p=24, n=24, options=True))


@settings(max_examples=30, deadline=None)
@given(
    b=st.integers(1, 3),
    t=st.integers(1, 40),
    g=st.integers(1, 3),
    each=st.integers(1, 3),
    p=st.integers(1, 7),
    n=st.integers(1, 7),
    chunk=st.integers(1, 48),
    cut=st.integers(1, 40),
)
def test_any_shape_and_any_cut_give_the_definition(
    b: int, t: int, g: int, each: int, p: int, n: int, chunk: int, cut: int
) -> None:
    args = inputs(b, t, g * each, p, g, n, options=True)
    expected, expected_state = NAIVE(**args)
    outputs = []
    state = args.pop("initial_states")
    for part in (slice(0, cut), slice(cut, t)):
        if range(t)[part]:
            piece = {name: x[:, part] if name in OVER_TIME else x for name, x in args.items()}
            output, state = CHUNK(**piece, initial_states=state, chunk_size=chunk)
            outputs.append(output)
    assert (torch.cat(outputs, 1) - expected).abs().max() <= 1e-9
    assert (state - expected_state).abs().max() <= 1e-9


def test_it_is_linear_attention_with_a_step_for_the_write_and_the_decay() -> None:
    args = inputs(g=4)
    dt = F.softplus(args["dt"])
    expected, state = naive_recurrent_simple_gla(
        args["C"],
        args["B"],
        args["x"] * dt[..., None],
        dt * args["A"],
        scale=1.0,
        output_final_state=True,
    )
    assert state is not None
    for call in (NAIVE, CHUNK):
        found, last = call(**args)
        assert gap(found, expected) <= 1e-12
        assert gap(last, state.mT) <= 1e-12


def test_the_step_takes_its_bias_its_softplus_and_its_limits_in_that_order() -> None:
    args = inputs()
    bias = randn(8, 4)
    step = F.softplus(args["dt"] + bias).clamp(0.5, 1.0)
    for call in (naive_recurrent_ssd, chunk_ssd):
        found = call(**args, dt_bias=bias, dt_softplus=True, dt_limit=(0.5, 1.0))[0]
        assert gap(found, call(**args | {"dt": step})[0]) <= 1e-12
        # Without a softplus a negative step is none at all.
        found = call(**args)[0]
        assert gap(found, call(**args | {"dt": args["dt"].clamp(min=0)})[0]) <= 1e-12


def test_the_input_is_added_by_d_and_the_output_gated_by_z() -> None:
    args = inputs()
    d, z = randn(8, 4), randn(9, 2, 37, 4, 6)
    for call in (NAIVE, CHUNK):
        plain = call(**args)[0]
        skipped = plain + args["x"] * d[:, None]
        assert gap(call(**args, D=d)[0], skipped) <= 1e-12
        assert gap(call(**args, D=d[:, None].expand(4, 6))[0], skipped) <= 1e-12
        assert gap(call(**args, z=z)[0], plain * F.silu(z)) <= 1e-12
        assert gap(call(**args, D=d, z=z)[0], skipped * F.silu(z)) <= 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_very_large_decay_forgets_and_stays_finite(dtype: torch.dtype) -> None:
    args = {name: x.to(dtype) for name, x in inputs(t=100).items()}
    args["dt"][:, ::3] = 1e4
    found = values_and_gradients(CHUNK, args)
    assert all(x.isfinite().all() for x in found)
    assert gap(found[0], NAIVE(**args)[0]) <= (1e-4 if dtype == torch.float32 else 1e-9)


def test_the_future_does_not_reach_the_past() -> None:
    args = inputs(t=70, options=True)
    before = CHUNK(**args)[0]
    for name in OVER_TIME:
        args[name][:, 50:] *= 3
    after = CHUNK(**args)[0]
    assert gap(after[:, :50], before[:, :50]) <= 1e-12
    assert gap(after[:, 50:], before[:, 50:]) > 1e-3


def test_arguments_are_left_alone_and_no_state_is_returned_unless_asked_for() -> None:
    for call in (naive_recurrent_ssd, chunk_ssd):
        for length in (1, 40):
            args = inputs(t=length, options=True)
            assert_leaves_arguments_alone(call, args)
            assert call(**args)[1] is None


def test_nothing_depends_on_memory_that_was_never_written() -> None:
    assert_survives_poison(CHUNK, inputs(options=True))


def test_half_precision_comes_back_while_steps_and_state_keep_single() -> None:
    args = inputs(t=70, options=True)
    half = {name: x.bfloat16() if name in "xBCz" else x.float() for name, x in args.items()}
    exact = {name: x.double() for name, x in half.items()}
    for call in (NAIVE, CHUNK):
        output, state = call(**half)
        assert output.dtype == torch.bfloat16
        assert state.dtype == torch.float32
        assert gap(output.double(), call(**exact)[0]) <= 0.01


@pytest.mark.parametrize("call", [naive_recurrent_ssd, chunk_ssd])
@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("x", (2, 0, 4, 6), r"x has shape \[2, 0, 4, 6\], expected \[B, T, H, P\] with T >= 1"),
        ("dt", (2, 37, 3), r"dt has shape .*, expected \[B, T, H\] = \[2, 37, 4\]"),
        ("A", (4, 1), r"A has shape \[4, 1\], expected \[H\] = \[4\]"),
        ("B", (2, 37, 3, 5), r"B has shape .*, expected .* with G a divisor of H = 4"),
        ("B", (2, 36, 2, 5), r"B has shape .*, expected \[B, T, G, N\] = \[2, 37, 2, 5\]"),
        ("C", (2, 37, 2, 4), r"C has shape .*, expected \[B, T, G, N\] = \[2, 37, 2, 5\]"),
        ("D", (5,), r"D has shape \[5\], expected \[H\] = \[4\]"),
        ("D", (4, 5), r"D has shape \[4, 5\], expected \[H, P\] = \[4, 6\]"),
        ("z", (2, 37, 4, 5), r"z has shape .*, expected \[B, T, H, P\] = \[2, 37, 4, 6\]"),
        ("dt_bias", (3,), r"dt_bias has shape \[3\], expected \[H\] = \[4\]"),
        ("initial_states", (2, 4, 5, 6), r"initial_states has .* = \[2, 4, 6, 5\]"),
    ],
)
def test_a_wrong_shape_is_named_with_what_was_found_and_expected(
    call: Any, name: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call(**inputs() | {name: torch.zeros(shape, dtype=torch.float64)})


def test_a_chunk_size_of_zero_and_a_tensor_on_another_device_are_refused() -> None:
    for length in (1, 9):
        with pytest.raises(ValueError, match="chunk_size is 0, expected at least 1"):
            chunk_ssd(**inputs(t=length), chunk_size=0)
    with pytest.raises(ValueError, match="dt_bias is on meta, expected cpu, where x is"):
        chunk_ssd(**inputs(), dt_bias=torch.zeros(4, device="meta"))
