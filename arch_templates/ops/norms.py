"""Normalisation over the last dimension, whole or in groups; each token is on its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def l2norm(x: Tensor, eps: float = 1e-6) -> Tensor:
    """Scale the last dimension to length one: x / sqrt(sum(x^2) + eps); zero stays zero."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + eps)


class RMSNorm(nn.Module):
    """Root mean square normalisation with a learned gain (arXiv 1910.07467), x [..., dim]."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return x / sqrt(mean(x^2) + eps) * weight."""
        _expect_last(x, self.weight.shape[0])
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class GroupNorm(nn.Module):
    """Mean 0 and variance 1 in each group of channels, x [..., hidden_size], then a learned gain.

    With a group for each head, heads whose outputs differ in size speak at the same volume (RetNet,
    arXiv 2307.08621). Not torch.nn.GroupNorm, which takes its statistics over all tokens, those of
    the future among them.
    """

    def __init__(
        self, num_groups: int, hidden_size: int, bias: bool = False, eps: float = 1e-5
    ) -> None:
        super().__init__()
        if num_groups < 1 or hidden_size % num_groups:
            raise ValueError(
                f"num_groups is {num_groups}, expected a divisor of hidden_size = {hidden_size}"
            )
        self.num_groups = num_groups
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (x - mean) / sqrt(variance + eps) * weight + bias, a mean for each group."""
        _expect_last(x, self.weight.shape[0])
        tokens = x.reshape(-1, x.shape[-1])
        return F.group_norm(tokens, self.num_groups, self.weight, self.bias, self.eps).view_as(x)


def _expect_last(x: Tensor, dim: int) -> None:
    if x.shape[-1] != dim:
        raise ValueError(f"x has shape {list(x.shape)}, expected {f'[..., {dim}]'}")
