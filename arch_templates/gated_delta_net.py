"""Gated DeltaNet: the delta rule with a memory that can also let go.

Before the correction of DeltaNet the whole memory of a head decays by a_t in (0, 1), which the
token itself decides::

    S_t = (I - b_t k_t k_t^T) a_t S_(t-1) + b_t k_t v_t^T    o_t = S_t^T q_t / sqrt(K)
    log a_t = -exp(A) softplus(W_a x_t + dt)                 (the decay of Mamba-2, 2405.21060)

The delta rule replaces single associations, the decay clears many at once. A starts out spread
over the heads and dt such that a_t lies near one, so that heads of long and short memory exist
from the beginning. Source: arXiv 2412.06464 (section 3).

State of a sequence and layer: heads * K * V numbers, and three inputs of each of 3 convolutions.
Cost of a token: 5 hidden^2 multiplications in projections and O(K V) a head in the memory.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from move37.arch_templates.ops import RMSNorm, ShortConvolution, chunk_gated_delta_rule, l2norm

State = tuple[Tensor, Tensor, Tensor, Tensor | None]
# Steps softplus(dt) from which a head starts: slow and fast forgetting, as in Mamba-2.
SHORTEST_STEP, LONGEST_STEP = 1e-3, 1e-1


class TokenMixer(nn.Module):
    """Gated DeltaNet with short convolutions, unit keys and an output gate."""

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.k_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.v_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.a_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.b_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.g_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.o_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.q_conv = ShortConvolution(hidden_size)
        self.k_conv = ShortConvolution(hidden_size)
        self.v_conv = ShortConvolution(hidden_size)
        self.o_norm = RMSNorm(hidden_size // num_heads)
        self.A_log = nn.Parameter(torch.linspace(0.0, math.log(16.0), num_heads))
        step = torch.logspace(math.log10(LONGEST_STEP), math.log10(SHORTEST_STEP), num_heads)
        self.dt_bias = nn.Parameter(step.expm1().log())  # the inverse of softplus

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map x [B, T, hidden] to y of the same shape and the state after the last token."""
        q_state, k_state, v_state, memory = state or (None, None, None, None)
        q, q_state = self.q_conv(self.q_proj(x), q_state)
        k, k_state = self.k_conv(self.k_proj(x), k_state)
        v, v_state = self.v_conv(self.v_proj(x), v_state)
        q, k, v = (part.unflatten(-1, (self.num_heads, -1)) for part in (q, k, v))

        beta = self.b_proj(x).sigmoid()
        log_decay = -self.A_log.exp() * F.softplus(self.a_proj(x) + self.dt_bias)
        o, memory = chunk_gated_delta_rule(
            l2norm(q), l2norm(k), v, log_decay, beta, initial_state=memory, output_final_state=True
        )
        y = self.o_norm(o).flatten(-2) * F.silu(self.g_proj(x))
        return self.o_proj(y), (q_state, k_state, v_state, memory)
