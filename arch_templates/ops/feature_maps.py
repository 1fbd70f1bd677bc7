"""Feature maps of linear attention: what turns queries and keys into features, x [..., K].

Softmax attention weighs by exp(q.k); linear attention weighs by phi(q).phi(k), which is sharper or
softer with the map. All but `taylor` keep weights from being negative by features that are not;
`torch.relu` is one more such map.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def elu1(x: Tensor) -> Tensor:
    """Return elu(x) + 1, positive everywhere (arXiv 2006.16236, equation 7)."""
    return F.elu(x) + 1


def squared_relu(x: Tensor) -> Tensor:
    """Return relu(x)^2: sparse, and sharper than relu (arXiv 2109.08668)."""
    return F.relu(x).square()


def dpfp(x: Tensor, nu: int = 4) -> Tensor:
    """Return products of rectified neighbours, [..., 2 K nu]: sparse and nearly orthogonal.

    Source: arXiv 2102.11174, equation 37, without learned parts.

    Raises:
        ValueError: nu is not from 1 to 2 K - 1.
    """
    if not 1 <= nu < 2 * x.shape[-1]:
        raise ValueError(f"nu is {nu}, expected 1 to {2 * x.shape[-1] - 1}")
    signs = torch.cat([F.relu(x), F.relu(-x)], dim=-1)
    return torch.cat([signs * signs.roll(shift, dims=-1) for shift in range(1, nu + 1)], dim=-1)


def taylor(x: Tensor) -> Tensor:
    """Return features [..., 1 + K + K (K + 1) / 2] of which dot products are near exp(q.k / K^.5).

    They are 1 + s + s^2 / 2 of s = q.k / K^.5, which is above 1/2 (Based, arXiv 2402.18668).
    """
    dim = x.shape[-1]
    row, column = torch.triu_indices(dim, dim, device=x.device).unbind()
    # Products off the diagonal stand for two equal ones, so they count twice as much.
    share = torch.where(row == column, 0.5, 1.0).to(x.dtype).sqrt() * dim**-0.5
    pairs = x[..., row] * x[..., column] * share
    return torch.cat([torch.ones_like(x[..., :1]), x / math.sqrt(math.sqrt(dim)), pairs], dim=-1)


class HedgehogFeatureMap(nn.Module):
    """Learned positive features [..., 2 K], softmax(W x, -W x) (arXiv 2402.04347, equation 6)."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(head_dim, head_dim)
        # From the identity a head starts out as spiky as softmax attention is on its inputs.
        nn.init.eye_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features; their sum is one."""
        y = self.layer(x)
        return torch.cat([y, -y], dim=-1).softmax(-1)
