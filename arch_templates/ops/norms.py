"""Normalisation over the last dimension."""

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
        if x.shape[-1] != self.weight.shape[0]:
            expected = f"[..., {self.weight.shape[0]}]"
            raise ValueError(f"x has shape {list(x.shape)}, expected {expected}")
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
