"""Kimi Delta Attention: a decay for each channel of the key."""

from __future__ import annotations

import torch

from move37.arch_templates import ops
from tests.arch_templates.oracle import gap, randn


def test_equal_decays_in_all_channels_are_the_gated_delta_rule() -> None:
    q, k, v = (ops.l2norm(randn(seed, 2, 37, 2, 8)) for seed in range(3))
    g, beta = -randn(3, 2, 37, 2).abs(), torch.sigmoid(randn(4, 2, 37, 2))
    channel = ops.chunk_kda(q, k, v, g[..., None].expand_as(q), beta)[0]
    assert gap(channel, ops.chunk_gated_delta_rule(q, k, v, g, beta)[0]) <= 1e-12


def test_without_write_strength_the_state_only_fades() -> None:
    q, k, v = (ops.l2norm(randn(seed, 2, 37, 2, 8)) for seed in range(3))
    g, state = -randn(3, 2, 37, 2, 8).abs() / 10, randn(4, 2, 2, 8, 8)
    beta = torch.zeros(2, 37, 2, dtype=torch.float64)
    last = ops.chunk_kda(q, k, v, g, beta, initial_state=state, output_final_state=True)[1]
    assert last is not None
    assert gap(last, state * g.sum(1)[..., None].exp()) <= 1e-12
