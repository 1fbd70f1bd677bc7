"""Rotary positions: rotated queries and keys meet at an angle that tells how far apart they are."""

from __future__ import annotations

import torch
from torch import Tensor

from move37.arch_templates.ops.shapes import expect_sequence


def apply_rotary(x: Tensor, offset: int | Tensor = 0, base: float = 10000.0) -> Tensor:
    """Rotate channel pairs of x [B, T, H, K] by their position (RoFormer, arXiv 2104.09864).

    Channels i and i + K / 2 are a pair, turned by base**(-2 i / K) at each token, as in GPT-NeoX
    and fla-core. The first token stands at `offset`, an int or an integer tensor []: the number of
    tokens before, for instance the last part of the state of `sliding_window_attention`.

    Raises:
        ValueError: x has the wrong shape, T is 0, or K is odd.
    """
    expect_sequence("x", x, "[B, T, H, K]")
    length, dim = x.shape[1], x.shape[3]
    if dim % 2:
        raise ValueError(f"x has shape {list(x.shape)}, expected [B, T, H, K] with K even")
    # In double precision, as in single one a position of 100,000 leaves no more than two digits.
    exponent = torch.arange(0, dim, 2, dtype=torch.float64, device=x.device) / dim
    position = torch.arange(length, dtype=torch.float64, device=x.device) + offset
    angle = position[:, None, None] * base**-exponent
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)
