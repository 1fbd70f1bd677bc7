"""DeltaProduct: what several steps a token add to the delta rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from move37.arch_templates import ops
from tests.arch_templates.oracle import gap, randn


def test_one_step_a_token_is_the_gated_delta_rule() -> None:
    q, k, v = (ops.l2norm(randn(seed, 2, 37, 2, 8)) for seed in range(3))
    g, beta = -randn(3, 2, 37, 2).abs(), torch.sigmoid(randn(4, 2, 37, 2))
    product = ops.chunk_gated_delta_product(q, k, v, g, beta, num_householder=1)[0]
    assert torch.equal(product, ops.chunk_gated_delta_rule(q, k, v, g, beta)[0])


@pytest.mark.parametrize(
    "form", [ops.naive_recurrent_gated_delta_product, ops.chunk_gated_delta_product]
)
def test_two_reflections_a_token_turn_a_plane(form: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """Two steps with beta = 2 and no value are a rotation, which one delta step never is."""
    angle = torch.tensor(torch.pi / 8, dtype=torch.float64)
    mirrors = torch.stack([torch.tensor([1.0, 0.0]), torch.stack([angle.cos(), angle.sin()])])
    length = 16
    k = mirrors.double().repeat(length, 1)[None, :, None]
    v = torch.zeros(1, 2 * length, 1, 1, dtype=torch.float64)
    beta = torch.full((1, 2 * length, 1), 2.0, dtype=torch.float64)
    q = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(1, length, 1, 2)
    start = torch.tensor([1.0, 0.0], dtype=torch.float64).view(1, 1, 2, 1)
    output, last = form(
        q, k, v, None, beta, 2, scale=1.0, initial_state=start, output_final_state=True
    )
    turned = torch.arange(1, length + 1) * 2 * angle
    assert (output.flatten() - turned.cos()).abs().max() <= 1e-12
    assert gap(last.flatten().norm(), torch.ones(())) <= 1e-12


def test_less_than_one_step_a_token_is_refused() -> None:
    x, beta = torch.zeros(1, 4, 1, 2), torch.zeros(1, 4, 1)
    with pytest.raises(ValueError, match="num_householder is 0, expected at least 1"):
        ops.chunk_gated_delta_product(x, x, x, None, beta, num_householder=0)
