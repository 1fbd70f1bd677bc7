"""Hybrid: three layers with a memory of everything, blurred, to one with the latest tokens, sharp.

In every four layers the second is attention over a sliding window of W tokens, the others are Gated
DeltaNet:

    S_t = a_t S_{t-1} + beta_t k_t (v_t - a_t S_{t-1}^T k_t)^T          o_t = S_t^T q_t
    o_t = sum_{t-W < s <= t} p_ts v_s       p_t = softmax(rotate(q_t, t)^T rotate(k_s, s) / sqrt(K))

A memory of fixed size must mix what it holds, a window compares token with token and so copies
exactly, but no further than it reaches. The second and not the last of four, so that a model of two
layers has both kinds.

Source: three to one as in Kimi Linear, arXiv 2510.26692; window and memory as in Samba,
arXiv 2406.07522; Gated DeltaNet, arXiv 2412.06464.
State for a layer: num_heads K V numbers and the last three inputs of the convolution, or the keys
and values of W - 1 tokens and the position.
Cost a token: about 10 hidden_size^2 + 7 num_heads K V, or 10 hidden_size^2 + 8 W hidden_size.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import (
    RMSNorm,
    ShortConvolution,
    apply_rotary,
    chunk_gated_delta_rule,
    l2norm,
    sliding_window_attention,
)

Memory = tuple[Tensor | None, Tensor | None]
Window = tuple[Tensor, Tensor, Tensor]

PERIOD, ATTENTION_AT = 4, 1
WINDOW = 64


class TokenMixer(nn.Module):
    """Maps x [B, T, hidden_size] to y of that shape, by a memory or a window; the state is its."""

    large_state = True

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        kind = WindowAttention if layer_idx % PERIOD == ATTENTION_AT else GatedDelta
        inner = hidden_size // num_heads * num_heads
        self.heads = kind(hidden_size, num_heads)
        self.gate_proj = nn.Linear(hidden_size, inner, bias=False)
        self.norm = RMSNorm(hidden_size // num_heads)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: Memory | Window | None = None
    ) -> tuple[Tensor, Memory | Window]:
        """Return y and the state after the last token; pass the state back to go on."""
        o, state = self.heads(x, state)
        gate = F.silu(self.gate_proj(x))
        return self.out_proj(self.norm(o).flatten(-2) * gate), state


class GatedDelta(nn.Module):
    """The heads of Gated DeltaNet; the state is (last inputs, memory S)."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        inner = hidden_size // num_heads * num_heads
        self.qkv_proj = nn.Linear(hidden_size, 3 * inner, bias=False)
        self.qkv_conv = ShortConvolution(3 * inner, kernel_size=4, activation="silu")
        self.beta_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.decay_proj = nn.Linear(hidden_size, num_heads, bias=False)
        self.decay_bias = nn.Parameter(torch.full((num_heads,), math.log(math.expm1(0.01))))
        self.decay_rate_log = nn.Parameter(torch.linspace(1.0, 16.0, num_heads).log())

    def forward(self, x: Tensor, state: Memory | None) -> tuple[Tensor, Memory]:
        """Return o [B, T, H, V] and the state."""
        last_inputs, memory = (None, None) if state is None else state
        qkv, last_inputs = self.qkv_conv(self.qkv_proj(x), last_inputs)
        q, k, v = qkv.unflatten(-1, (3 * self.num_heads, -1)).chunk(3, dim=2)
        step = F.softplus(self.decay_proj(x) + self.decay_bias)
        o, memory = chunk_gated_delta_rule(
            l2norm(q),
            l2norm(k),
            v,
            -self.decay_rate_log.exp() * step,
            torch.sigmoid(self.beta_proj(x)),
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )
        return o, (last_inputs, memory)


class WindowAttention(nn.Module):
    """Heads of softmax attention over the last tokens; the state is (keys, values, position)."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        inner = hidden_size // num_heads * num_heads
        self.qkv_proj = nn.Linear(hidden_size, 3 * inner, bias=False)

    def forward(self, x: Tensor, state: Window | None) -> tuple[Tensor, Window]:
        """Return o [B, T, H, V] and the state."""
        position = 0 if state is None else state[2]
        q, k, v = self.qkv_proj(x).unflatten(-1, (3 * self.num_heads, -1)).chunk(3, dim=2)
        return sliding_window_attention(
            apply_rotary(q, position), apply_rotary(k, position), v, WINDOW, state=state
        )
