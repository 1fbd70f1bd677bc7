"""RWKV-7: a memory whose keys to remove and to write differ, each channel at its own pace.

Each head keeps a matrix S [K, V]. A token lets it fade by a vector w, takes out what it holds under
the key c, as far as a vector a allows for each channel, and writes its value under the key k:

    S_t = diag(w_t) S_{t-1} - (a_t * c_t) (c_t^T S_{t-1}) + k_t v_t^T               |c_t| = 1
    o_t = S_t^T r_t
    w_t = exp(-sigmoid(w(x_t)) / sqrt(e))       c_t ~ m * kappa_t       a_t = sigmoid(a(x_t))
    k_t = kappa_t * (1 + (a_t - 1) * n)         m, n learned for each channel

Every projection reads a mixture of its own of the token and the one before. To the normalised
output each head adds the present value, as strongly as r and k agree; then it is gated. w, a and
the gate are projections of low rank.

Source: Peng et al., arXiv 2503.14456. There layers after the first also mix in the values of the
first, which a mixer does not see.
State for a layer: num_heads K V numbers, and the last input.
Cost a token: about 8 hidden_size^2 + 12 RANK hidden_size + 8 num_heads K V operations.
"""

import math

import torch
from torch import Tensor, nn

from move37.arch_templates.ops import GroupNorm, chunk_rwkv7, l2norm, token_shift

State = tuple[Tensor | None, Tensor | None]

RANK = 16


class TokenMixer(nn.Module):
    """Maps x [B, T, hidden_size] to y of that shape; the state is (last input, memory S)."""

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.num_heads = num_heads
        self.head_dim = hidden_size // num_heads
        inner = num_heads * self.head_dim
        # How much of the token before each of r, k, v, w, a and the gate reads.
        self.shift_share = nn.Parameter(torch.full((6, 1, 1, hidden_size), 0.5))
        self.r_proj = nn.Linear(hidden_size, inner, bias=False)
        self.k_proj = nn.Linear(hidden_size, inner, bias=False)
        self.v_proj = nn.Linear(hidden_size, inner, bias=False)
        self.w_proj = _low_rank(hidden_size, inner, nn.Tanh())
        self.a_proj = _low_rank(hidden_size, inner, nn.Identity())
        self.gate_proj = _low_rank(hidden_size, inner, nn.Sigmoid())
        # Over the channels of a head memories last from four hundred tokens to less than three.
        self.decay_bias = nn.Parameter(torch.linspace(-5.5, 0.5, self.head_dim).repeat(num_heads))
        self.removal_scale = nn.Parameter(torch.ones(num_heads, self.head_dim))
        self.write_share = nn.Parameter(torch.ones(num_heads, self.head_dim))
        self.bonus = nn.Parameter(torch.zeros(num_heads, self.head_dim))
        self.norm = GroupNorm(num_heads, inner, bias=True)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return y and the state after the last token; pass the state back to go on."""
        last_input, memory = (None, None) if state is None else state

        before, last_input = token_shift(x, last_input)
        xr, xk, xv, xw, xa, xg = torch.lerp(x, before, self.shift_share)
        r, k, v = map(self._split_heads, (self.r_proj(xr), self.k_proj(xk), self.v_proj(xv)))
        log_w = -math.exp(-0.5) * torch.sigmoid(self.w_proj(xw) + self.decay_bias)
        a = torch.sigmoid(self._split_heads(self.a_proj(xa)))
        removed = l2norm(k * self.removal_scale)
        k = k * (1 + (a - 1) * self.write_share)
        o, memory = chunk_rwkv7(
            r,
            self._split_heads(log_w),
            k,
            v,
            -removed,
            removed * a,
            initial_state=memory,
            output_final_state=True,
        )

        now = (r * k * self.bonus).sum(-1, keepdim=True) * v
        y = self.norm(o.flatten(-2)) + now.flatten(-2)
        return self.out_proj(y * self.gate_proj(xg)), (last_input, memory)

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)


def _low_rank(inputs: int, outputs: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, RANK, bias=False), activation, nn.Linear(RANK, outputs, bias=False)
    )
