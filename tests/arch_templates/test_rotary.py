"""Rotary positions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from move37.arch_templates.ops.rotary import apply_rotary
from tests.arch_templates.oracle import gap, of_fla, randn


def test_a_pair_of_channels_is_a_complex_number_that_turns_with_the_position() -> None:
    x = randn(0, 2, 9, 3, 8)
    turns = torch.polar(
        torch.ones(9, 4).double(),
        (torch.arange(9)[:, None] + 5) * 10000.0 ** (-torch.arange(4) / 4).double(),
    )
    expected = torch.complex(x[..., :4], x[..., 4:]) * turns[:, None]
    assert gap(apply_rotary(x, offset=5), torch.cat([expected.real, expected.imag], -1)) <= 1e-12


@settings(max_examples=30, deadline=None)
@given(
    half=st.integers(1, 6),
    base=st.sampled_from([10.0, 1e4, 5e5]),
    first=st.integers(0, 100),
    second=st.integers(0, 100),
    shift=st.integers(0, 10**6),
)
def test_a_product_depends_on_the_distance_alone(
    half: int, base: float, first: int, second: int, shift: int
) -> None:
    q, k = randn(0, 1, 1, 1, 2 * half), randn(1, 1, 1, 1, 2 * half)
    products = [
        (apply_rotary(q, first + by, base) * apply_rotary(k, second + by, base)).sum()
        for by in (0, shift)
    ]
    assert abs(products[0] - products[1]) <= 1e-8


def test_a_sequence_may_be_cut_anywhere_and_the_offset_may_be_a_tensor() -> None:
    x = randn(0, 2, 10, 3, 4)
    whole = apply_rotary(x, offset=3)
    pieces = [apply_rotary(x[:, :4], 3), apply_rotary(x[:, 4:], torch.tensor(7))]
    assert torch.equal(torch.cat(pieces, 1), whole)


def test_length_stays_the_first_position_is_left_alone_and_gradients_are_right() -> None:
    x = randn(0, 2, 5, 3, 4)
    y = apply_rotary(x)
    assert torch.equal(y[:, 0], x[:, 0])
    assert gap(y.norm(dim=-1), x.norm(dim=-1)) <= 1e-12
    assert torch.autograd.gradcheck(lambda z: apply_rotary(z, 7), [x.requires_grad_()])


def test_the_dtype_stays_and_far_positions_keep_their_digits() -> None:
    x = randn(0, 1, 4, 1, 8)
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.bfloat16, 0.02)):
        y = apply_rotary(x.to(dtype), offset=10**6)
        assert y.dtype == dtype
        assert gap(y.double(), apply_rotary(x, offset=10**6)) <= tolerance


def test_the_pairs_are_those_of_fla_core() -> None:
    reference = of_fla("fla.modules.rotary.ops", "rotary_embedding_ref")
    x = randn(0, 2, 9, 3, 8)
    angle = torch.arange(9)[:, None] * 10000.0 ** (-torch.arange(4) / 4).double()
    assert gap(apply_rotary(x), reference(x, angle.cos(), angle.sin())) <= 1e-12


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"x has shape \[1, 2, 3, 5\], .* with K even"):
        apply_rotary(torch.zeros(1, 2, 3, 5))
    with pytest.raises(ValueError, match=r"x has shape \[1, 0, 3, 4\], .* with T >= 1"):
        apply_rotary(torch.zeros(1, 0, 3, 4))
    with pytest.raises(ValueError, match=r"x has shape \[2, 3, 4\], expected \[B, T, H, K\]"):
        apply_rotary(torch.zeros(2, 3, 4))
