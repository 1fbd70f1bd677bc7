"""Norms: of the whole last dimension, and of groups of it, each token on its own."""

from __future__ import annotations

import pytest
import torch

from move37.arch_templates.ops.norms import GroupNorm, RMSNorm, l2norm
from tests.arch_templates.oracle import assert_survives_poison, gap, of_fla, randn


def test_the_l2_norm_gives_length_one_and_leaves_zero_at_zero() -> None:
    x = randn(0, 4, 7, 16)
    assert gap(l2norm(x), x / (x.square().sum(-1, keepdim=True) + 1e-6).sqrt()) <= 1e-12
    assert gap(l2norm(x).norm(dim=-1), torch.ones(4, 7).double()) <= 1e-5
    zero = torch.zeros(3, requires_grad=True)
    assert torch.autograd.grad(l2norm(zero).sum(), zero)[0].isfinite().all()


def test_the_rms_norm_divides_by_the_root_of_the_mean_square_and_applies_its_gain() -> None:
    x = randn(0, 4, 7, 16)
    norm = RMSNorm(16, eps=1e-3).double()
    norm.weight.data = randn(1, 16)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-3).sqrt() * norm.weight
    assert gap(norm(x), expected) <= 1e-12


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("bias", [False, True])
def test_the_group_norm_takes_mean_and_variance_of_each_group_of_each_token(
    groups: int, bias: bool
) -> None:
    x = randn(0, 3, 5, 8) + 2
    norm = GroupNorm(groups, 8, bias=bias, eps=1e-3).double()
    parts = x.view(3, 5, groups, -1)
    deviation = parts - parts.mean(-1, keepdim=True)
    variance = deviation.square().mean(-1, keepdim=True)
    expected = (deviation / (variance + 1e-3).sqrt()).flatten(2)
    assert gap(norm(x), expected) <= 1e-9
    norm.weight.data = randn(1, 8)
    expected = expected * norm.weight
    if norm.bias is not None:
        norm.bias.data = randn(2, 8)
        expected = expected + norm.bias
    assert (norm.bias is not None) == bias
    assert gap(norm(x), expected) <= 1e-9


def test_a_token_is_normalised_alone_so_nothing_comes_from_others() -> None:
    x = randn(0, 2, 6, 8)
    norm = GroupNorm(2, 8).double()
    before = norm(x)
    x[:, 3:] *= 100
    assert torch.equal(norm(x)[:, :3], before[:, :3])
    assert gap(norm(x[0, 0]), before[0, 0]) <= 1e-12


def test_gradients_of_all_norms_are_right() -> None:
    x = randn(0, 2, 3, 6).requires_grad_()
    for norm in (l2norm, RMSNorm(6).double(), GroupNorm(3, 6, bias=True).double()):
        assert torch.autograd.gradcheck(norm, [x])
        assert_survives_poison(norm, {"x": x.detach()})


def test_the_dtype_stays() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x = randn(0, 2, 3, 6).to(dtype)
        for norm in (l2norm, RMSNorm(6).to(dtype), GroupNorm(3, 6).to(dtype)):
            assert norm(x).dtype == dtype


def test_the_norms_are_those_of_fla_core() -> None:
    x = randn(0, 2, 5, 8).float()
    group = of_fla("fla.modules.norm.layernorm", "group_norm_ref")
    rms = of_fla("fla.modules.norm.layernorm", "rms_norm_ref")
    weight = randn(1, 8).float()
    ours, ours_rms = GroupNorm(2, 8), RMSNorm(8)
    ours.weight.data = ours_rms.weight.data = weight
    assert gap(ours(x), group(x, weight, None, 2, eps=1e-5)) <= 1e-5
    assert gap(ours_rms(x), rms(x, weight, None, eps=1e-5)) <= 1e-5


def test_a_wrong_size_is_named_with_what_was_found_and_expected() -> None:
    x = torch.zeros(4, 7, 16)
    for norm in (RMSNorm(8), GroupNorm(2, 8)):
        with pytest.raises(ValueError, match=r"x has shape \[4, 7, 16\], expected \[..., 8\]"):
            norm(x)
    for groups in (0, 3):
        with pytest.raises(
            ValueError, match=rf"num_groups is {groups}, expected a divisor of .* 8"
        ):
            GroupNorm(groups, 8)
