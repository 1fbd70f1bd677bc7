"""Mamba-2: a state space in which the token decides how long a step to take.

A long step writes the token strongly and fades what was there; a short one passes it by. In the
words of attention C is the query, B the key, and both serve all heads; x is the value:

    S_t = exp(-d_t exp(A)) S_{t-1} + d_t x_t B_t^T          d_t = softplus(w u_t + c)
    y_t = S_t C_t + D x_t

u_t is the input; x, B and C come from it through a short convolution. Heads are twice as wide
as elsewhere, which pays for the keys that they share; the output is gated, then normalised.

Source: Dao and Gu, arXiv 2405.21060; here a key has as many numbers as a head of the other
templates has, there 64 to 256.
State for a layer: 2 num_heads K V numbers, and the last three inputs of the convolution.
Cost a token: about 12 hidden_size^2 + 4 hidden_size K + 8 num_heads K V operations.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_ssd

State = tuple[Tensor | None, Tensor | None]

EXPANSION = 2


class TokenMixer(nn.Module):
    """Maps u [B, T, hidden_size] to y of that shape; the state is (last inputs, memory S)."""

    large_state = True

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.num_heads = num_heads
        self.state_dim = hidden_size // num_heads
        inner = EXPANSION * num_heads * self.state_dim
        # The parts of the input projection: gate, what is convolved (x, B, C), steps.
        self.widths = (inner, inner + 2 * self.state_dim, num_heads)
        self.in_proj = nn.Linear(hidden_size, sum(self.widths), bias=False)
        self.conv = ShortConvolution(self.widths[1], kernel_size=4, activation="silu")
        # As in Gated DeltaNet, rates and steps are spread evenly, not drawn.
        self.step_bias = nn.Parameter(torch.full((num_heads,), math.log(math.expm1(0.01))))
        self.rate_log = nn.Parameter(torch.linspace(1.0, 16.0, num_heads).log())
        self.skip = nn.Parameter(torch.ones(num_heads))
        self.norm = RMSNorm(inner)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)

    def forward(self, u: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return y and the state after the last token; pass the state back to go on."""
        last_inputs, memory = (None, None) if state is None else state

        gate, xbc, step = self.in_proj(u).split(self.widths, dim=-1)
        xbc, last_inputs = self.conv(xbc, last_inputs)
        x, b, c = xbc.split((self.widths[0], self.state_dim, self.state_dim), dim=-1)
        o, memory = chunk_ssd(
            x.unflatten(-1, (self.num_heads, -1)),
            step,
            -self.rate_log.exp(),
            b[:, :, None],
            c[:, :, None],
            D=self.skip,
            dt_bias=self.step_bias,
            initial_states=memory,
            dt_softplus=True,
            return_final_states=True,
        )

        y = self.out_proj(self.norm(o.flatten(-2) * F.silu(gate)))
        return y, (last_inputs, memory)
