"""What holds for all rules with a delta step: delta, gated, channel-wise, product, RWKV-7."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from move37.arch_templates import ops
from tests.arch_templates.oracle import (
    CUTS,
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

Call = Callable[..., Any]
STEPS = 3
FORMS: dict[str, tuple[Call, Call]] = {
    "delta": (ops.naive_recurrent_delta_rule, ops.chunk_delta_rule),
    "gated": (ops.naive_recurrent_gated_delta_rule, ops.chunk_gated_delta_rule),
    "channel": (ops.naive_recurrent_kda, ops.chunk_kda),
    "product": (
        functools.partial(ops.naive_recurrent_gated_delta_product, num_householder=STEPS),
        functools.partial(ops.chunk_gated_delta_product, num_householder=STEPS),
    ),
    "rwkv7": (ops.naive_recurrent_rwkv7, ops.chunk_rwkv7),
}
DECAYED = [rule for rule in FORMS if rule != "delta"]


def inputs(
    rule: str, b: int = 2, t: int = 37, h: int = 2, k: int = 8, v: int = 6, state: bool = False
) -> dict[str, Any]:
    """Random arguments of a rule: normalised keys, betas in (0, 2), log decays below 0."""
    steps = t * STEPS if rule == "product" else t
    key = ops.l2norm(randn(2, b, steps, h, k))
    decay = -randn(4, b, t, h, k).abs()
    args = {"k": key, "v": randn(3, b, steps, h, v)}
    if rule == "rwkv7":
        rate = 2 * torch.sigmoid(randn(5, b, t, h, k))
        args |= {"r": randn(1, b, t, h, k), "w": decay, "a": -key, "b": key * rate}
    else:
        args |= {"q": randn(1, b, t, h, k), "beta": 2 * torch.sigmoid(randn(5, b, steps, h))}
    if rule in ("gated", "product"):
        args["g"] = decay[..., 0]
    elif rule == "channel":
        args["g"] = decay
    return args | {"initial_state": randn(6, b, h, k, v)} if state else args


def stateful(rule: str) -> tuple[Call, Call]:
    naive, chunk = FORMS[rule]
    return (
        functools.partial(naive, output_final_state=True),
        functools.partial(chunk, output_final_state=True),
    )


def decay_of(rule: str, args: dict[str, Any]) -> Tensor:
    decay: Tensor = args["w" if rule == "rwkv7" else "g"]
    return decay


@pytest.mark.parametrize("rule", FORMS)
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize(("length", "chunk"), [*CUTS, (50, 48), (3, 1000)])
def test_the_chunkwise_form_equals_the_definition_with_its_gradients(
    rule: str, state: bool, length: int, chunk: int
) -> None:
    assert_same(*stateful(rule), inputs(rule, t=length, state=state), chunk_size=chunk)


@pytest.mark.parametrize("rule", FORMS)
def test_single_precision_stays_near_the_definition_in_double(rule: str) -> None:
    assert_single_is_near(*stateful(rule), inputs(rule, t=200, k=24, v=24, state=True))


@settings(max_examples=60, deadline=None)
@given(
    rule=st.sampled_from(sorted(FORMS)),
    b=st.integers(1, 3),
    t=st.integers(1, 40),
    h=st.integers(1, 3),
    k=st.integers(1, 9),
    v=st.integers(1, 9),
    chunk=st.integers(1, 48),
    cut=st.integers(1, 40),
    strength=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 1e4]),
)
def test_any_shape_any_cut_and_any_decay_give_the_definition(
    rule: str, b: int, t: int, h: int, k: int, v: int, chunk: int, cut: int, strength: float
) -> None:
    naive, chunkwise = stateful(rule)
    args = inputs(rule, b, t, h, k, v)
    if rule in DECAYED:
        decay_of(rule, args).mul_(strength)
    if rule == "rwkv7":
        # Without a decay a transition with b a^T of size up to 2 is no contraction.
        args["b"] /= 2
    expected, expected_state = naive(**args)
    state = None
    outputs = []
    for part in (slice(0, cut), slice(cut, t)):
        if range(t)[part]:
            piece = {name: _tokens(x, part, t) for name, x in args.items()}
            output, state = chunkwise(**piece, initial_state=state, chunk_size=chunk)
            outputs.append(output)
    # One number may be near zero by chance, so the scale is that of the inputs, about one.
    assert (torch.cat(outputs, 1) - expected).abs().max() <= 1e-9
    assert (state - expected_state).abs().max() <= 1e-9


def _tokens(x: Tensor, part: slice, length: int) -> Tensor:
    """Cut tokens out of x, which may hold several rows for each of them."""
    return x.view(x.shape[0], length, -1, *x.shape[2:])[:, part].flatten(1, 2)


@pytest.mark.parametrize("rule", DECAYED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_strong_decays_beside_weak_ones_forget_and_stay_finite(
    rule: str, dtype: torch.dtype
) -> None:
    args = {name: x.to(dtype) for name, x in inputs(rule, t=100, state=True).items()}
    decay = decay_of(rule, args)
    decay *= 1e-2
    decay.view(2, 100, -1)[:, ::3, ::2] = -1e4
    decay[:, 50] = -torch.inf
    naive, chunk = stateful(rule)
    found = values_and_gradients(chunk, args)
    expected = values_and_gradients(naive, {name: x.double() for name, x in args.items()})
    for a, b in zip(found, expected, strict=True):
        assert a.isfinite().all()
        assert rmse(a.double(), b) <= (1e-4 if dtype == torch.float32 else 1e-9)


@pytest.mark.parametrize("rule", FORMS)
def test_the_future_does_not_reach_the_past(rule: str) -> None:
    args = inputs(rule, t=70)
    chunk = FORMS[rule][1]
    before = chunk(**args)[0]
    for x in args.values():
        x.view(2, 70, -1)[:, 50:] *= 1.5
    after = chunk(**args)[0]
    assert gap(after[:, :50], before[:, :50]) <= 1e-12
    assert gap(after[:, 50:], before[:, 50:]) > 1e-3


@pytest.mark.parametrize("rule", FORMS)
def test_arguments_are_left_alone_and_no_state_is_returned_unless_asked_for(rule: str) -> None:
    for call in FORMS[rule]:
        for length in (1, 40):
            args = inputs(rule, t=length, state=True)
            assert_leaves_arguments_alone(call, args)
            assert call(**args)[1] is None


@pytest.mark.parametrize("rule", FORMS)
def test_nothing_depends_on_memory_that_was_never_written(rule: str) -> None:
    assert_survives_poison(stateful(rule)[1], inputs(rule))


@pytest.mark.parametrize("rule", FORMS)
def test_second_derivatives_are_right(rule: str) -> None:
    args = inputs(rule, b=1, t=5, h=1, k=2, v=2)
    leaves = [x.requires_grad_() for x in args.values()]

    def call(*values: Tensor) -> Tensor:
        named = dict(zip(args, values, strict=True))
        output: Tensor = FORMS[rule][1](**named, chunk_size=4)[0]
        return output

    assert torch.autograd.gradgradcheck(call, leaves)


@pytest.mark.parametrize("rule", FORMS)
def test_half_precision_comes_back_while_the_state_keeps_single(rule: str) -> None:
    args = {name: x.bfloat16() for name, x in inputs(rule, t=70).items()}
    exact = {name: x.double() for name, x in args.items()}
    for call in stateful(rule):
        output, state = call(**args)
        assert output.dtype == torch.bfloat16
        assert state.dtype == torch.float32
        assert gap(output.double(), call(**exact)[0]) <= 0.01


@pytest.mark.parametrize("rule", FORMS)
def test_arguments_on_two_devices_are_refused_by_name(rule: str) -> None:
    for name in set(inputs(rule, state=True)) - {"q", "r"}:
        args = inputs(rule, state=True)
        args[name] = args[name].to("meta")
        for call in FORMS[rule]:
            with pytest.raises(ValueError, match=r"is on (meta|cpu), expected (meta|cpu), where"):
                call(**args)


@pytest.mark.parametrize(
    ("rule", "name", "shape", "message"),
    [
        ("channel", "q", (2, 0, 2, 8), r"q has shape .*, expected \[B, T, H, K\] with T >= 1"),
        ("channel", "g", (2, 37, 2), r"g has shape .*, expected \[B, T, H, K\] = \[2, 37, 2, 8\]"),
        ("channel", "beta", (2, 37), r"beta has shape .*, expected \[B, T, H\] = \[2, 37, 2\]"),
        ("rwkv7", "r", (2, 0, 2, 8), r"r has shape .*, expected \[B, T, H, K\] with T >= 1"),
        ("rwkv7", "w", (2, 37, 2), r"w has shape .*, expected \[B, T, H, K\] = \[2, 37, 2, 8\]"),
        ("rwkv7", "a", (2, 37, 2, 6), r"a has shape .*, expected .* = \[2, 37, 2, 8\]"),
        ("rwkv7", "b", (1, 37, 2, 8), r"b has shape .*, expected .* = \[2, 37, 2, 8\]"),
        ("rwkv7", "initial_state", (2, 2, 6, 8), r"initial_state has .* = \[2, 2, 8, 6\]"),
        ("product", "k", (2, 37, 2, 8), r"k has .*, expected \[B, T \* n, H, K\] = \[2, 111, 2, 8"),
        ("product", "v", (2, 37, 2, 6), r"v has .*, expected \[B, T \* n, H, V\] = \[2, 111, 2, 6"),
        ("product", "beta", (2, 37, 2), r"beta has .*, expected \[B, T \* n, H\] = \[2, 111, 2\]"),
        ("product", "g", (2, 111, 2), r"g has shape .*, expected \[B, T, H\] = \[2, 37, 2\]"),
        ("product", "initial_state", (2, 2, 6, 8), r"initial_state has .* = \[2, 2, 8, 6\]"),
    ],
)
def test_a_wrong_shape_is_named_with_what_was_found_and_expected(
    rule: str, name: str, shape: tuple[int, ...], message: str
) -> None:
    args = inputs(rule) | {name: torch.zeros(shape, dtype=torch.float64)}
    for call in FORMS[rule]:
        with pytest.raises(ValueError, match=message):
            call(**args)


@pytest.mark.parametrize("rule", FORMS)
def test_a_chunk_size_of_zero_is_refused(rule: str) -> None:
    for length in (1, 37):
        with pytest.raises(ValueError, match="chunk_size is 0, expected at least 1"):
            FORMS[rule][1](**inputs(rule, t=length), chunk_size=0)


# Where fla-core keeps its references, and the scale that each of them applies for K = 8.
FLA = {
    "delta": ("fla.ops.delta_rule.naive", "delta_rule_recurrence", 8**-0.5),
    "gated": ("fla.ops.gated_delta_rule.naive", "naive_recurrent_gated_delta_rule", 8**-0.5),
    "channel": ("fla.ops.kda.naive", "naive_recurrent_kda", 8**-0.5),
    "product": ("fla.ops.gated_delta_product.naive", "naive_recurrent_gated_delta_product", 1.0),
    "rwkv7": ("fla.ops.generalized_delta_rule.dplr.naive", "dplr_recurrence", 8**-0.5),
}
RENAMED = {"r": "q", "a": "alpha", "b": "beta", "w": "gk"}


@pytest.mark.parametrize("rule", FLA)
def test_the_definition_is_that_of_fla_core(rule: str) -> None:
    module, name, scale = FLA[rule]
    reference = of_fla(module, name)
    args = {name: x.float() for name, x in inputs(rule, state=True).items()}
    output, last = stateful(rule)[0](**args, scale=scale)
    options = {"initial_state": args.pop("initial_state"), "output_final_state": True}
    if rule == "product":
        options |= {"num_householder": STEPS, "scale": scale, "cu_seqlens": None}
    if rule == "rwkv7":
        args = {RENAMED.get(name, name): x for name, x in args.items()}
    heads_first = rule in ("delta", "rwkv7")
    if heads_first:
        args = {name: x.transpose(1, 2) for name, x in args.items()}
    expected, expected_last = reference(**args, **options)
    assert gap(output, expected.transpose(1, 2) if heads_first else expected) <= 1e-5
    assert gap(last, expected_last) <= 1e-5
