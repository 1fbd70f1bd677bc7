"""RWKV-7: the generalised delta rule and what it contains."""

from __future__ import annotations

import torch

from move37.arch_templates import ops
from tests.arch_templates.oracle import gap, randn


def test_reading_and_writing_by_one_key_is_the_delta_rule_with_channel_decay() -> None:
    q, k, v = (ops.l2norm(randn(seed, 2, 37, 2, 8)) for seed in range(3))
    g, beta = -randn(3, 2, 37, 2, 8).abs(), torch.sigmoid(randn(4, 2, 37, 2))
    key = k * beta[..., None]
    general = ops.chunk_rwkv7(q, g, key, v, k * g.exp(), -key, output_final_state=True)
    special = ops.chunk_kda(q, k, v, g, beta, scale=1.0, output_final_state=True)
    for a, b in zip(general, special, strict=True):
        assert a is not None
        assert b is not None
        assert gap(a, b) <= 1e-12


def test_a_transition_may_move_content_from_one_key_to_another() -> None:
    """With a and b of different keys, what lay under one comes to lie under the other."""
    first, second = torch.eye(2, dtype=torch.float64).unbind()
    none = torch.zeros(1, 2, 1, 2, dtype=torch.float64)
    value = torch.tensor([5.0, 0.0], dtype=torch.float64).view(1, 2, 1, 1)
    k, a, b = none.clone(), none.clone(), none.clone()
    k[:, 0], a[:, 1], b[:, 1] = first, first, second - first
    output, _ = ops.chunk_rwkv7(second.expand_as(none), none, k, value, a, b)
    assert output.flatten().tolist() == [0.0, 5.0]
    assert ops.chunk_rwkv7(first.expand_as(none), none, k, value, a, b)[0][0, 1].item() == 0.0
