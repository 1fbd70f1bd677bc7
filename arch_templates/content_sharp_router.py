"""ContentSharpRouter: each head mixes four memories, told what each of them answers, and how sure.

Four paths lead from the values v: v itself, a short filter, a long filter and a delta-rule memory.
The weights of a head come from the token and from mean and spread of what each path answers:

    o_t = sum_i w_ti path_ti          w_t = softmax(s_h m(x_t, mean(path_t), std(path_t)))

The sharpness s_h is learned for each head: routing starts soft, so that every path learns, and a
head that profits from a decision may become decisive. At the start v itself is preferred.

Source: a design that the search of arXiv 2507.18074 found; sizes and starting values are those of
the program that was found. Its entropy term, which fades out in training, is left out: a mixer
knows no step.
State for a layer: num_heads K V numbers, the last 3 inputs of the convolution and the last values
that the filters need, 2 and 24.
Cost a token: about 9 hidden_size^2 + 6 num_heads K V + 56 hidden_size operations.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.ops import (
    RMSNorm,
    ShortConvolution,
    causal_conv,
    chunk_causal_fir,
    chunk_delta_rule,
    l2norm,
)

State = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]

PATHS, SHORT, LONG = 4, 3, 25


class TokenMixer(nn.Module):
    """Maps x [B, T, hidden_size] to y; the state is (last inputs, memory S, last values twice)."""

    large_state = True

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.num_heads = num_heads
        self.head_dim = hidden_size // num_heads
        inner = num_heads * self.head_dim
        self.qkv_proj = nn.Linear(hidden_size, 3 * inner, bias=False)
        self.qkv_conv = ShortConvolution(3 * inner, kernel_size=4, activation="silu")
        self.beta_proj = nn.Linear(hidden_size, num_heads, bias=False)
        # The filters start as the identity: no path destroys the values before it has learned.
        self.short_filter = nn.Parameter(F.pad(torch.ones(inner, 1), (SHORT - 1, 0)))
        self.long_filter = nn.Parameter(F.pad(torch.ones(inner, 1), (LONG - 1, 0)))
        self.router = ContentSharpGate(hidden_size, num_heads)
        self.norm = RMSNorm(self.head_dim)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return y and the state after the last token; pass the state back to go on."""
        last_inputs, memory, last_short, last_long = (None,) * 4 if state is None else state

        qkv, last_inputs = self.qkv_conv(self.qkv_proj(x), last_inputs)
        q, k, v = self._split_heads(qkv).chunk(3, dim=2)
        short, last_short = causal_conv(v.flatten(-2), self.short_filter, last_short)
        long, last_long = chunk_causal_fir(v.flatten(-2), self.long_filter, last_long)
        beta = torch.sigmoid(self.beta_proj(x))
        delta, memory = chunk_delta_rule(
            l2norm(q),
            l2norm(k),
            v,
            beta,
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )

        paths = [v, self._split_heads(short), self._split_heads(long), delta]
        o = self.router(x, torch.stack(paths, dim=-2))
        y = self.out_proj(self.norm(o).flatten(-2))
        return y, (last_inputs, memory, last_short, last_long)

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)


class ContentSharpGate(nn.Module):
    """Mixes the paths of each head by weights from the token and from what the paths answer."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.token_proj = nn.Linear(hidden_size, hidden_size // 2)
        self.logit_proj = nn.Linear(hidden_size // 2 + 2 * PATHS, PATHS)
        self.path_bias = nn.Parameter(torch.tensor([2.0, 0.0, 0.0, 0.0]).repeat(num_heads, 1))
        # Through softplus the sharpness stays above zero; it starts at 1.5.
        self.sharpness = nn.Parameter(torch.full((num_heads, 1), math.log(math.expm1(1.5))))

    def forward(self, x: Tensor, paths: Tensor) -> Tensor:
        """Mix paths [B, T, H, PATHS, V] into [B, T, H, V]."""
        token = F.silu(self.token_proj(x))[:, :, None].expand(-1, -1, paths.shape[2], -1)
        # Rounded away next to any real spread, and a root at zero has no gradient.
        spread = (paths.var(-1, correction=0) + 1e-6).sqrt()
        seen = torch.cat([token, paths.mean(-1), spread], dim=-1)
        logits = self.logit_proj(seen) + self.path_bias
        weights: Tensor = (F.softplus(self.sharpness) * logits).softmax(-1)
        return (weights[..., None] * paths).sum(-2)
