"""Linear attention in its kinds of decay, its normaliser and its feature maps."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from move37.arch_templates.ops import feature_maps
from move37.arch_templates.ops.linear_attention import (
    chunk_linear_attn,
    chunk_retention,
    chunk_simple_gla,
    naive_recurrent_linear_attn,
    naive_recurrent_retention,
    naive_recurrent_simple_gla,
    retention_log_decay,
)
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
    values_and_gradients,
)


class Kind(NamedTuple):
    naive: Call
    chunk: Call
    extra: tuple[str, ...] = ()
    positive: bool = False


def plain(call: Call) -> Call:
    return functools.partial(call, normalize=False)


KINDS = {
    "no decay": Kind(naive_recurrent_simple_gla, chunk_simple_gla),
    "decay from the data": Kind(naive_recurrent_simple_gla, chunk_simple_gla, ("g",)),
    "fixed decay": Kind(naive_recurrent_simple_gla, chunk_simple_gla, ("g_gamma",)),
    "both decays": Kind(naive_recurrent_simple_gla, chunk_simple_gla, ("g", "g_gamma")),
    "retention": Kind(naive_recurrent_retention, chunk_retention),
    "sums": Kind(plain(naive_recurrent_linear_attn), plain(chunk_linear_attn)),
    "means": Kind(naive_recurrent_linear_attn, chunk_linear_attn, positive=True),
}
NAMES = list(KINDS)


def inputs(
    kind: str, b: int = 2, t: int = 37, h: int = 2, k: int = 8, v: int = 6, state: bool = False
) -> dict[str, Any]:
    """Random arguments; the features of means are positive, as those of a feature map."""
    positive = KINDS[kind].positive
    args: dict[str, Any] = {
        "q": randn(1, b, t, h, k),
        "k": randn(2, b, t, h, k),
        "v": randn(3, b, t, h, v),
    }
    if positive:
        args |= {name: feature_maps.elu1(args[name]) for name in "qk"}
    every = {"g": -randn(4, b, t, h).abs(), "g_gamma": -randn(5, h).abs()}
    args |= {name: every[name] for name in KINDS[kind].extra}
    if state:
        memory = randn(6, b, h, k, v)
        keys = randn(7, b, 1, h, k).abs()
        args["initial_state"] = (memory, keys) if positive else memory
    return args


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize(("length", "chunk"), CUTS)
def test_the_chunkwise_form_equals_the_definition_with_its_gradients(
    kind: str, state: bool, length: int, chunk: int
) -> None:
    naive, fast = (functools.partial(f, output_final_state=True) for f in KINDS[kind][:2])
    assert_same(naive, fast, inputs(kind, t=length, state=state), chunk_size=chunk)


@pytest.mark.parametrize("kind", NAMES)
def test_single_precision_stays_near_the_definition_in_double(kind: str) -> None:
    assert_single_is_near(*KINDS[kind][:2], inputs(kind, t=200, k=24, v=24, state=True))


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(NAMES),
    b=st.integers(1, 3),
    t=st.integers(1, 40),
    h=st.integers(1, 3),
    k=st.integers(1, 9),
    v=st.integers(1, 9),
    chunk=st.integers(1, 48),
    cut=st.integers(1, 40),
)
def test_any_shape_and_any_cut_give_the_definition(
    kind: str, b: int, t: int, h: int, k: int, v: int, chunk: int, cut: int
) -> None:
    naive, fast, *_ = KINDS[kind]
    args = inputs(kind, b, t, h, k, v)
    expected, _ = naive(**args)
    state = None
    outputs = []
    for part in (slice(0, cut), slice(cut, t)):
        if range(t)[part]:
            piece = {n: x if n == "g_gamma" else x[:, part] for n, x in args.items()}
            output, state = fast(
                **piece, initial_state=state, output_final_state=True, chunk_size=chunk
            )
            outputs.append(output)
    assert (torch.cat(outputs, 1) - expected).abs().max() <= 1e-9


@pytest.mark.parametrize("kind", NAMES)
def test_arguments_are_left_alone_and_no_state_is_returned_unless_asked_for(kind: str) -> None:
    for call in KINDS[kind][:2]:
        for length in (1, 20):
            args = inputs(kind, t=length, state=True)
            assert_leaves_arguments_alone(call, args)
            assert call(**args)[1] is None


@pytest.mark.parametrize("kind", NAMES)
def test_nothing_depends_on_memory_that_was_never_written(kind: str) -> None:
    chunk = functools.partial(KINDS[kind].chunk, chunk_size=16, output_final_state=True)
    assert_survives_poison(chunk, inputs(kind))


@pytest.mark.parametrize("kind", NAMES)
def test_half_precision_comes_back_while_the_state_keeps_single(kind: str) -> None:
    args = {name: x.bfloat16() for name, x in inputs(kind, t=70).items()}
    exact = {name: x.double() for name, x in args.items()}
    for call in KINDS[kind][:2]:
        output, state = call(**args, output_final_state=True)
        assert output.dtype == torch.bfloat16
        assert (state if isinstance(state, Tensor) else state[0]).dtype == torch.float32
        assert gap(output.double(), call(**exact)[0]) <= 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_very_large_decay_forgets_and_stays_finite(dtype: torch.dtype) -> None:
    args = {name: x.to(dtype) for name, x in inputs("decay from the data", t=100).items()}
    args["g"][:, ::3] = -1e4
    args["g"][:, 50] = -torch.inf
    found = values_and_gradients(chunk_simple_gla, args)
    assert all(x.isfinite().all() for x in found)
    expected = naive_recurrent_simple_gla(**args)[0]
    assert gap(found[0], expected) <= (1e-4 if dtype == torch.float32 else 1e-9)


def test_retention_forgets_a_32nd_a_64th_and_so_on() -> None:
    assert torch.allclose(
        retention_log_decay(torch.zeros(1, 1, 3, 1)).exp(),
        torch.tensor([31 / 32, 63 / 64, 127 / 128]),
    )


def test_normalised_attention_is_a_mean_of_the_values_so_far() -> None:
    args = inputs("means", t=50)
    args["v"] = torch.ones_like(args["v"])
    assert gap(chunk_linear_attn(**args, chunk_size=16)[0], args["v"]) <= 1e-9
    args["v"] = randn(9, *args["v"].shape)
    o = chunk_linear_attn(**args, chunk_size=16)[0]
    assert (o <= args["v"].cummax(1).values + 1e-9).all()
    assert (o >= args["v"].cummin(1).values - 1e-9).all()


def test_a_chunk_that_was_all_zeros_gives_zeros_and_no_nan() -> None:
    args: dict[str, Any] = {n: torch.zeros_like(x) for n, x in inputs("means").items()}
    assert torch.equal(chunk_linear_attn(**args)[0], args["v"])


def test_the_definitions_are_those_of_fla_core() -> None:
    rules: tuple[tuple[str, Call, str], ...] = (
        ("naive_recurrent_simple_gla", naive_recurrent_simple_gla, "fla.ops.simple_gla.naive"),
        ("naive_recurrent_linear_attn", naive_recurrent_linear_attn, "fla.ops.linear_attn.naive"),
    )
    for name, ours, module in rules:
        kind = "decay from the data" if "gla" in name else "means"
        args = {name: x.float() for name, x in inputs(kind).items()}
        options = {} if "gla" in name else {"normalize": True}
        expected, state = of_fla(module, name)(**args, output_final_state=True, **options)
        found, last = ours(**args, output_final_state=True)
        assert gap(found, expected) <= 1e-5
        pairs = zip(last, state, strict=True) if "linear" in name else [(last, state)]
        assert all(a.shape == b.shape and gap(a, b) <= 1e-5 for a, b in pairs)


def test_retention_is_that_of_fla_core() -> None:
    args = {name: x.float() for name, x in inputs("retention").items()}
    naive = of_fla("fla.ops.retention.naive", "naive_retention")
    expected = naive(*(x.transpose(1, 2) for x in args.values())).transpose(1, 2)
    assert gap(chunk_retention(**args)[0], expected) <= 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": (2, 0, 2, 8)}, r"q has shape \[2, 0, 2, 8\], expected \[B, T, H, K\] with T >= 1"),
        ({"k": (2, 37, 2, 7)}, r"k has shape .*, expected \[B, T, H, K\] = \[2, 37, 2, 8\]"),
        ({"v": (2, 36, 2, 6)}, r"v has shape .*, expected \[B, T, H, V\] = \[2, 37, 2, 6\]"),
        ({"g": (2, 37, 2, 1)}, r"g has shape .*, expected \[B, T, H\] = \[2, 37, 2\]"),
        ({"g_gamma": (3,)}, r"g_gamma has shape \[3\], expected \[H\] = \[2\]"),
    ],
)
def test_a_wrong_shape_is_named_with_what_was_found_and_expected(
    change: dict[str, tuple[int, ...]], message: str
) -> None:
    for call in KINDS["both decays"][:2]:
        args = inputs("both decays") | {n: torch.zeros(s).double() for n, s in change.items()}
        with pytest.raises(ValueError, match=message):
            call(**args)


def test_a_state_that_does_not_fit_is_refused() -> None:
    for call in KINDS["means"][:2]:
        args = inputs("means", state=True)
        memory, keys = args.pop("initial_state")
        with pytest.raises(ValueError, match=r"is a Tensor, expected a pair .* normalize is True"):
            call(**args, initial_state=memory)
        with pytest.raises(ValueError, match="is a tuple, expected one tensor"):
            call(**args, initial_state=(memory, keys), normalize=False)
        with pytest.raises(ValueError, match=r"initial_state\[1\] has .* \[B, 1, H, K\] = \[2, 1"):
            call(**args, initial_state=(memory, keys[:, 0]))
        with pytest.raises(ValueError, match=r"initial_state has shape .* = \[2, 2, 8, 6\]"):
            call(**args, initial_state=(memory.mT, keys))
    with pytest.raises(ValueError, match="chunk_size is 0, expected at least 1"):
        chunk_linear_attn(**inputs("means"), chunk_size=0)
    with pytest.raises(ValueError, match="g_gamma is on meta, expected cpu, where q is"):
        chunk_simple_gla(**inputs("no decay"), g_gamma=torch.zeros(2, device="meta"))


def test_elu1_and_hedgehog_features_are_positive_and_those_of_the_rectifiers_not_negative() -> None:
    x = randn(0, 4, 7, 6)
    hedgehog = feature_maps.HedgehogFeatureMap(6).double()
    for features in (feature_maps.elu1(x), hedgehog(x)):
        assert (features > 0).all()
    for features in (feature_maps.squared_relu(x), feature_maps.dpfp(x)):
        assert (features >= 0).all()
    assert torch.allclose(hedgehog(x).sum(-1), torch.ones(4, 7).double())
    assert torch.equal(feature_maps.squared_relu(x), x.clamp(min=0) ** 2)


def test_taylor_features_give_the_second_order_of_the_exponential() -> None:
    q, k = randn(0, 5, 9), randn(1, 5, 9)
    s = (q * k).sum(-1) / 3
    found = (feature_maps.taylor(q) * feature_maps.taylor(k)).sum(-1)
    assert torch.allclose(found, 1 + s + s.square() / 2)
    assert feature_maps.taylor(q).shape == (5, 1 + 9 + 45)
    small = (feature_maps.taylor(q / 10) * feature_maps.taylor(k / 10)).sum(-1)
    assert torch.allclose(small, (s / 100).exp(), rtol=1e-4)


def test_dpfp_multiplies_rectified_neighbours() -> None:
    features = feature_maps.dpfp(torch.tensor([2.0, -3.0]), nu=1)
    assert features.tolist() == [2.0 * 3.0, 0.0, 0.0, 0.0]
    assert feature_maps.dpfp(randn(0, 5, 4), nu=3).shape == (5, 2 * 4 * 3)
    for nu in (0, 8):
        with pytest.raises(ValueError, match=rf"nu is {nu}, expected 1 to 7"):
            feature_maps.dpfp(randn(0, 5, 4), nu=nu)


def test_the_hedgehog_is_that_of_fla_core_with_twice_the_weight() -> None:
    x = randn(0, 5, 8).float()
    hedgehog = of_fla("fla.modules.feature_map", "HedgehogFeatureMap")(8)
    ours = feature_maps.HedgehogFeatureMap(8)
    ours.layer.weight.data.mul_(2)
    assert gap(ours(x), hedgehog(x)) <= 1e-5
