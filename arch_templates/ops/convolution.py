"""Causal mixing of neighbours: depthwise filters, short or long, and the shift by one token.

Each op takes the last inputs it still needs as its state and returns the new ones, so that a
sequence may be cut anywhere.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from move37.arch_templates.ops.shapes import expect_sequence, expect_shape


def causal_conv(x: Tensor, weight: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Filter each channel causally: y_t = sum_w weight[:, w] x_{t - (W - 1) + w}.

    x is [B, T, D]; weight [D, W], the tap of the present token last; the state [B, W - 1, D]
    holds the last inputs, zeros at the start. Short filters and long ones (W of 64 and more) cost
    about the same for each output; the state and the work grow with W, not with T.

    Raises:
        ValueError: an argument has the wrong shape, or T is 0.
    """
    expect_sequence("x", x, "[B, T, D]")
    if weight.dim() != 2 or weight.shape[1] < 1:
        raise ValueError(f"weight has shape {list(weight.shape)}, expected [D, W] with W >= 1")
    length, width = x.shape[1], weight.shape[1]
    expect_shape("weight", weight, (x.shape[2], width), "[D, W]")
    window = _after(x, state, width - 1)
    if length == 1:
        y = (window * weight.T).sum(1, keepdim=True)
    else:
        # Two dimensions of which one is 1: unlike conv1d, conv2d takes [B, T, D] as it lies
        # (channels last), which halves the time of training on a CPU.
        y = F.conv2d(window.mT[:, :, None], weight[:, None, None], groups=x.shape[2])[:, :, 0].mT
    return y, window[:, length:]


def token_shift(x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return x [B, T, D] one token late, and the state [B, 1, D], the last token (RWKV).

    Raises:
        ValueError: an argument has the wrong shape, or T is 0.
    """
    expect_sequence("x", x, "[B, T, D]")
    window = _after(x, state, 1)
    return window[:, :-1], window[:, -1:]


def _after(x: Tensor, state: Tensor | None, size: int) -> Tensor:
    """Put the state, the `size` inputs before x, in front of x: [B, size + T, D]."""
    if state is None:
        return F.pad(x, (0, 0, size, 0))
    expect_shape("state", state, (x.shape[0], size, x.shape[2]), f"[B, {size}, D]")
    return torch.cat([state, x], dim=1)


class ShortConvolution(nn.Module):
    """Causal depthwise filter of a few tokens with an activation, x [B, T, hidden_size].

    Applied to queries, keys and values it lets a layer bind neighbours (H3, arXiv 2212.14052).
    """

    def __init__(
        self,
        hidden_size: int,
        kernel_size: int = 4,
        activation: Literal["silu"] | None = "silu",
    ) -> None:
        super().__init__()
        if activation not in ("silu", None):
            raise ValueError(f"activation is {activation!r}, expected 'silu' or None")
        if kernel_size < 1:
            raise ValueError(f"kernel_size is {kernel_size}, expected at least 1")
        self.activation = activation
        self.weight = nn.Parameter(torch.empty(hidden_size, kernel_size))
        # Uniform as in nn.Conv1d: one input channel for each output, `kernel_size` taps.
        nn.init.uniform_(self.weight, -(kernel_size**-0.5), kernel_size**-0.5)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the filtered x and the state [B, kernel_size - 1, hidden_size]."""
        y, state = causal_conv(x, self.weight, state)
        return F.silu(y) if self.activation else y, state
