"""Long causal filters with a finite impulse response, in chunks.

`causal_conv` computes the same; for filters of a few taps it is faster, and for long ones in
training this is: the gradient of a depthwise convolution on a CPU takes far longer than a product.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from move37.arch_templates.ops.shapes import expect_one_device, expect_sequence, expect_shape

Result = tuple[Tensor, Tensor]

# Tokens of a chunk cost C + W - 1 products each: few tokens waste little, many make large matrices.
# Near the best of 32 to 256 for W from 16 to 256 on one CPU thread.
CHUNK_SIZE = 64


def naive_causal_fir(x: Tensor, weight: Tensor, state: Tensor | None = None) -> Result:
    """Filter as the sum over the taps: the definition. Shapes as in `chunk_causal_fir`."""
    window = _window(x, weight, state)
    length = x.shape[1]
    y = torch.zeros_like(x)
    for tap in range(weight.shape[1]):
        y = y + weight[:, tap] * window[:, tap : tap + length]
    return y, window[:, length:]


def chunk_causal_fir(
    x: Tensor, weight: Tensor, state: Tensor | None = None, chunk_size: int = CHUNK_SIZE
) -> Result:
    """Filter each channel causally, y_t = sum_w weight[:, w] x_{t - (W - 1) + w}, chunk by chunk.

    x is [B, T, D]; weight [D, W], the tap of the present token last; the state [B, W - 1, D] holds
    the last inputs, zeros at the start. Returns y [B, T, D] and the new state.

    A chunk of C outputs is the product of a banded matrix [C, C + W - 1], one for each channel and
    the same for all chunks, with the inputs that its outputs reach. The cost grows like T (C + W),
    never like T^2, and no Fourier transform blurs what is causal.

    Raises:
        ValueError: an argument has the wrong shape or device, T is 0, or chunk_size is below 1.
    """
    window = _window(x, weight, state)
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}, expected at least 1")
    batch, length, dim = x.shape
    if length == 1:
        return (window * weight.mT).sum(1, keepdim=True), window[:, 1:]
    chunks = -(-length // chunk_size)
    size = -(-length // chunks)
    reach = size + weight.shape[1] - 1
    padded = F.pad(window, (0, 0, 0, chunks * size - length))
    inputs = padded.permute(2, 0, 1).unfold(2, reach, size).flatten(1, 2)
    # Row i of the band is the filter, i places to the right.
    band = F.pad(weight, (size - 1, size - 1)).unfold(1, reach, 1).flip(1)
    y = (inputs @ band.mT).view(dim, batch, chunks * size).permute(1, 2, 0)[:, :length]
    return y, window[:, length:]


def _window(x: Tensor, weight: Tensor, state: Tensor | None) -> Tensor:
    """Check the arguments, and put the state in front of x: [B, W - 1 + T, D]."""
    expect_sequence("x", x, "[B, T, D]")
    if weight.dim() != 2 or weight.shape[1] < 1:
        raise ValueError(f"weight has shape {list(weight.shape)}, expected [D, W] with W >= 1")
    width = weight.shape[1]
    expect_shape("weight", weight, (x.shape[2], width), "[D, W]")
    expect_one_device({"x": x, "weight": weight, "state": state})
    if state is None:
        return F.pad(x, (0, 0, width - 1, 0))
    expect_shape("state", state, (x.shape[0], width - 1, x.shape[2]), "[B, W - 1, D]")
    return torch.cat([state, x], dim=1)
