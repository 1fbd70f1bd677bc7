"""The ops against their definitions in float64, and at their edges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from move37.arch_templates import ops

RULES = ("delta", "gated_delta", "gla", "linear")
Call = Callable[..., tuple[Tensor, Tensor | None]]
FORMS: dict[str, tuple[Call, Call]] = {
    "delta": (ops.naive_recurrent_delta_rule, ops.chunk_delta_rule),
    "gated_delta": (ops.naive_recurrent_gated_delta_rule, ops.chunk_gated_delta_rule),
    "gla": (ops.naive_recurrent_simple_gla, ops.chunk_simple_gla),
    "linear": (ops.naive_recurrent_simple_gla, ops.chunk_simple_gla),
}


def inputs(
    rule: str,
    b: int = 2,
    t: int = 37,
    h: int = 2,
    k: int = 8,
    v: int = 6,
    dtype: torch.dtype = torch.float64,
) -> dict[str, Tensor]:
    """Random arguments of a rule: normalised keys, betas in (0, 2), log decays below 0."""
    draw = torch.Generator().manual_seed(t)
    args = {
        "q": torch.randn(b, t, h, k, generator=draw, dtype=dtype),
        "k": ops.l2norm(torch.randn(b, t, h, k, generator=draw, dtype=dtype)),
        "v": torch.randn(b, t, h, v, generator=draw, dtype=dtype),
    }
    if "gated" in rule or rule == "gla":
        args["g"] = -torch.rand(b, t, h, generator=draw, dtype=dtype)
    if "delta" in rule:
        args["beta"] = 2 * torch.rand(b, t, h, generator=draw, dtype=dtype)
    return args


def start_state(b: int = 2, h: int = 2, k: int = 8, v: int = 6) -> Tensor:
    draw = torch.Generator().manual_seed(5)
    return torch.randn(b, h, k, v, generator=draw, dtype=torch.float64)


def gap(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest entry of b."""
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-30)).item()


def rmse(a: Tensor, b: Tensor) -> float:
    return ((a - b).square().mean().sqrt() / b.square().mean().sqrt()).item()


def values_and_gradients(call: Call, args: dict[str, Tensor], **options: object) -> list[Tensor]:
    """Output, final state, and the gradient of a fixed projection of both in every argument."""
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in args.items()}
    output, state = call(**leaves, output_final_state=True, **options)
    assert state is not None
    draw = torch.Generator().manual_seed(1)
    weight = torch.randn(output.shape, generator=draw, dtype=output.dtype)
    total = (output * weight).sum() + state.square().sum()
    return [output.detach(), state.detach(), *torch.autograd.grad(total, list(leaves.values()))]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(("length", "chunk"), [(1, 16), (2, 64), (37, 8), (64, 32), (65, 64)])
def test_the_chunkwise_form_equals_the_definition_with_its_gradients(
    rule: str, with_state: bool, length: int, chunk: int
) -> None:
    naive, chunkwise = FORMS[rule]
    args = inputs(rule, t=length)
    if with_state:
        args["initial_state"] = start_state()
    expected = values_and_gradients(naive, args)
    found = values_and_gradients(chunkwise, args, chunk_size=chunk)
    assert len(found) == len(expected) == 2 + len(args)
    for a, b in zip(found, expected, strict=True):
        assert gap(a, b) <= 1e-9


@pytest.mark.parametrize("rule", RULES)
def test_single_precision_stays_near_the_definition_in_double(rule: str) -> None:
    naive, chunkwise = FORMS[rule]
    exact = inputs(rule, t=300, k=24, v=24)
    single = {name: tensor.float() for name, tensor in exact.items()}
    output, state = chunkwise(**single, output_final_state=True)
    expected, expected_state = naive(**exact, output_final_state=True)
    assert state is not None
    assert expected_state is not None
    assert output.dtype == state.dtype == torch.float32
    assert rmse(output.double(), expected) <= 1e-4
    assert rmse(state.double(), expected_state) <= 1e-4


@settings(max_examples=25, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    b=st.integers(1, 3),
    t=st.integers(1, 40),
    h=st.integers(1, 3),
    k=st.integers(1, 9),
    v=st.integers(1, 9),
    chunk=st.integers(1, 48),
    cut=st.integers(0, 40),
)
def test_any_shape_and_any_cut_give_the_definition(
    rule: str, b: int, t: int, h: int, k: int, v: int, chunk: int, cut: int
) -> None:
    naive, chunkwise = FORMS[rule]
    args = inputs(rule, b, t, h, k, v)
    expected, expected_state = naive(**args, output_final_state=True)
    state = None
    outputs = []
    for part in (slice(0, cut), slice(cut, t)):
        if range(t)[part]:
            piece = {name: tensor[:, part] for name, tensor in args.items()}
            output, state = chunkwise(
                **piece, initial_state=state, output_final_state=True, chunk_size=chunk
            )
            outputs.append(output)
    assert expected_state is not None
    assert state is not None
    # One number may be near zero by chance, so the scale is that of the inputs, about one.
    assert (torch.cat(outputs, 1) - expected).abs().max() <= 1e-9
    assert (state - expected_state).abs().max() <= 1e-9


@pytest.mark.parametrize("rule", RULES)
def test_no_final_state_is_returned_unless_asked_for(rule: str) -> None:
    for call in FORMS[rule]:
        assert call(**inputs(rule))[1] is None


@pytest.mark.parametrize("rule", RULES)
def test_the_scale_is_one_over_root_k_unless_given(rule: str) -> None:
    for call in FORMS[rule]:
        args = inputs(rule)
        assert gap(call(**args)[0], call(**args, scale=1.0)[0] * 8**-0.5) <= 1e-12


@pytest.mark.parametrize("rule", RULES)
def test_the_initial_state_is_left_untouched(rule: str) -> None:
    for length in (1, 20):
        state = start_state()
        FORMS[rule][1](**inputs(rule, t=length), initial_state=state, output_final_state=True)
        assert torch.equal(state, start_state())


@pytest.mark.parametrize("rule", RULES)
def test_the_future_does_not_reach_the_past(rule: str) -> None:
    args = inputs(rule, t=70)
    before = FORMS[rule][1](**args, chunk_size=32)[0]
    for tensor in args.values():
        tensor[:, 50:] *= 3
    after = FORMS[rule][1](**args, chunk_size=32)[0]
    assert gap(after[:, :50], before[:, :50]) <= 1e-12
    assert gap(after[:, 50:], before[:, 50:]) > 1e-3


@pytest.mark.parametrize("rule", ["gated_delta", "gla"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_very_large_decay_forgets_and_stays_finite(rule: str, dtype: torch.dtype) -> None:
    naive, chunkwise = FORMS[rule]
    args = inputs(rule, t=100, dtype=dtype)
    args["g"][:, ::3] = -1e4
    args["g"][:, 50] = -torch.inf
    found = values_and_gradients(chunkwise, args)
    assert all(tensor.isfinite().all() for tensor in found)
    with torch.no_grad():
        assert gap(found[0], naive(**args)[0]) <= (1e-4 if dtype == torch.float32 else 1e-9)


def test_the_delta_rule_overwrites_and_linear_attention_accumulates() -> None:
    key = torch.tensor([1.0, 0.0]).expand(1, 2, 1, 2)
    value = torch.tensor([1.0, 5.0]).view(1, 2, 1, 1)
    beta = torch.ones(1, 2, 1)
    replaced = ops.chunk_delta_rule(key, key, value, beta, scale=1.0)[0]
    summed = ops.chunk_simple_gla(key, key, value, scale=1.0)[0]
    assert replaced.flatten().tolist() == [1.0, 5.0]
    assert summed.flatten().tolist() == [1.0, 6.0]


def test_second_derivatives_of_the_delta_rule_are_right() -> None:
    args = [x.requires_grad_() for x in inputs("delta", b=1, t=4, h=1, k=2, v=2).values()]
    assert torch.autograd.gradgradcheck(
        lambda q, k, v, beta: ops.chunk_delta_rule(q, k, v, beta, chunk_size=2)[0], args
    )


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("q", (2, 0, 2, 8), r"q has shape \[2, 0, 2, 8\], expected \[B, T, H, K\] with T >= 1"),
        ("q", (2, 37, 8), r"q has shape \[2, 37, 8\], expected \[B, T, H, K\]"),
        ("k", (2, 37, 2, 7), r"k has shape .*, expected \[B, T, H, K\] = \[2, 37, 2, 8\]"),
        ("v", (2, 36, 2, 6), r"v has shape .*, expected \[B, T, H, V\] = \[2, 37, 2, 6\]"),
        ("g", (2, 37, 2, 1), r"g has shape .*, expected \[B, T, H\] = \[2, 37, 2\]"),
        ("beta", (2, 37), r"beta has shape .*, expected \[B, T, H\] = \[2, 37, 2\]"),
        ("initial_state", (2, 2, 6, 8), r"initial_state has .* \[B, H, K, V\] = \[2, 2, 8, 6\]"),
    ],
)
def test_a_wrong_shape_is_named_with_what_was_found_and_expected(
    name: str, shape: tuple[int, ...], message: str
) -> None:
    args = inputs("gated_delta") | {name: torch.zeros(shape, dtype=torch.float64)}
    for call in FORMS["gated_delta"]:
        with pytest.raises(ValueError, match=message):
            call(**args)
    if name in {"q", "k", "v", "g", "initial_state"}:
        del args["beta"]
        for call in FORMS["gla"]:
            with pytest.raises(ValueError, match=message):
                call(**args)


def test_a_chunk_size_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="chunk_size is 0, expected at least 1"):
        FORMS["delta"][1](**inputs("delta"), chunk_size=0)


@pytest.mark.parametrize("width", [1, 2, 4, 16, 64])
@pytest.mark.parametrize("length", [1, 5, 70])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_causal_filter_is_the_sum_over_its_taps(
    width: int, length: int, dtype: torch.dtype
) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, length, 3, generator=draw, dtype=dtype)
    weight = torch.randn(3, width, generator=draw, dtype=dtype)
    expected = torch.zeros_like(x)
    for t in range(length):
        for lag in range(min(width, t + 1)):
            expected[:, t] += weight[:, width - 1 - lag] * x[:, t - lag]
    y, state = ops.causal_conv(x, weight)
    assert y.dtype == dtype
    assert state.shape == (2, width - 1, 3)
    assert gap(y, expected) <= (1e-5 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("cut", [1, 2, 9])
def test_a_filter_and_a_shift_continue_from_their_state(cut: int) -> None:
    x = torch.randn(2, 10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for call in (lambda x, state: ops.causal_conv(x, weight, state), ops.token_shift):
        whole, last = call(x, None)
        first, state = call(x[:, :cut], None)
        second, state = call(x[:, cut:], state)
        assert gap(torch.cat([first, second], 1), whole) <= 1e-12
        assert torch.equal(state, last)


def test_a_token_shift_delays_by_one() -> None:
    x = torch.arange(1.0, 4.0).view(1, 3, 1)
    previous, state = ops.token_shift(x)
    assert previous.flatten().tolist() == [0.0, 1.0, 2.0]
    assert state.flatten().tolist() == [3.0]


def test_a_short_convolution_is_a_filter_with_silu() -> None:
    x = torch.randn(2, 10, 3, generator=torch.Generator().manual_seed(0))
    layer = ops.ShortConvolution(3)
    plain = ops.ShortConvolution(3, activation=None)
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x)[0], torch.nn.functional.silu(plain(x)[0]))


def test_the_ops_on_neighbours_name_a_wrong_argument() -> None:
    x = torch.zeros(2, 5, 3)
    with pytest.raises(ValueError, match=r"x has shape \[2, 0, 3\], expected \[B, T, D\]"):
        ops.token_shift(x[:, :0])
    with pytest.raises(ValueError, match=r"weight has shape \[4, 2\], .* \[D, W\] = \[3, 2\]"):
        ops.causal_conv(x, torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"weight has shape \[3\], expected \[D, W\]"):
        ops.causal_conv(x, torch.zeros(3))
    with pytest.raises(ValueError, match=r"state has shape \[2, 2, 3\], .* = \[2, 3, 3\]"):
        ops.causal_conv(x, torch.zeros(3, 4), torch.zeros(2, 2, 3))
    with pytest.raises(ValueError, match="kernel_size is 0"):
        ops.ShortConvolution(3, kernel_size=0)
    with pytest.raises(ValueError, match="activation is 'gelu'"):
        ops.ShortConvolution(3, activation="gelu")  # type: ignore[arg-type]


def test_norms_give_unit_length_and_unit_mean_square() -> None:
    x = torch.randn(4, 7, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(ops.l2norm(x).square().sum(-1), torch.ones_like(x[..., 0]))
    norm = ops.RMSNorm(16).double()
    torch.testing.assert_close(
        norm(x).square().mean(-1), torch.ones_like(x[..., 0]), atol=1e-4, rtol=0
    )
    assert torch.equal(ops.l2norm(torch.zeros(3)), torch.zeros(3))
    with pytest.raises(ValueError, match=r"x has shape \[4, 7, 16\], expected \[..., 8\]"):
        ops.RMSNorm(8)(x.float())
