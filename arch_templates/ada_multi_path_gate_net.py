"""AdaMultiPathGateNet: one gate whose logits are set for the layer, for the head and for the token.

Four paths lead from the values v: v itself, a short filter, a long filter and a delta-rule memory.
The logits of their weights add up from what is good everywhere, for this head, and for this token:

    o_t = sum_i w_ti path_ti          w_t = e + (1 - 4 e) p_t          p_t = softmax(s_t)
    s_t = a + b_h + c(x_t)

Two things keep a path from dying early: the floor e, and a penalty on low entropy H of p, by rights
a term of the loss. A mixer returns no loss here, and a term added for all tokens in the backward
pass would send gradient from every output to every token, later ones too. So the penalty only bends
what the loss sends to the token itself: the gradient of -H is added, with the strength of a share c
of |ds_t|.

    ds_t <- ds_t + c |ds_t| p_t (log p_t + H(p_t))

It changes how the layer learns and never what it computes: y is the same with and without it. The
sum is the gradient of no loss. Where the loss sends nothing it adds nothing, so unlike a term of
the loss it moves no point at which every token is content; it leans against the drift of noisy
gradients towards one path. It fades as p collapses, and from there on the floor alone helps.

Source: the idea of a design that the search of arXiv 2507.18074 found; its program is not
published, so paths, sizes and starting values are ours.
State for a layer: num_heads K V numbers, the last 3 inputs of the convolution and the last values
that the filters need, 2 and 30.
Cost a token: about 8 hidden_size^2 + 6 num_heads K V + 68 hidden_size operations.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, FunctionCtx
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

PATHS, SHORT, LONG = 4, 3, 31
FLOOR, PENALTY = 0.02, 0.1


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
        self.layer_logits = nn.Parameter(torch.zeros(PATHS))
        self.head_logits = nn.Parameter(torch.zeros(num_heads, PATHS))
        self.token_logits = nn.Linear(hidden_size, num_heads * PATHS, bias=False)
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
        o = (self._weights(x)[..., None] * torch.stack(paths, dim=-2)).sum(-2)
        y = self.out_proj(self.norm(o).flatten(-2))
        return y, (last_inputs, memory, last_short, last_long)

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)

    def _weights(self, x: Tensor) -> Tensor:
        """Return the weights [B, T, H, PATHS] at x [B, T, hidden_size]."""
        token = self.token_logits(x).unflatten(-1, (self.num_heads, PATHS))
        logits = self.layer_logits + self.head_logits + token
        penalised: Tensor = EntropyPenalty.apply(logits)  # type: ignore[no-untyped-call]
        return FLOOR + (1 - PATHS * FLOOR) * penalised.softmax(-1)


class EntropyPenalty(torch.autograd.Function):
    """Returns the logits as they are; their gradient leans towards a softmax of more entropy.

    A gradient rule of its own, as a straight-through gate has: not the derivative of its output.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor) -> Tensor:
        """Return the logits [..., PATHS] unchanged."""
        ctx.save_for_backward(logits)
        return logits.view_as(logits)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> Tensor:
        """Add the gradient of the negative entropy times a share of the length of `grad`."""
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        log_p = saved[0].log_softmax(-1)
        p = log_p.exp()
        entropy = -(p * log_p).sum(-1, keepdim=True)
        strength: Tensor = PENALTY * torch.linalg.vector_norm(grad, dim=-1, keepdim=True)
        return grad + strength * p * (log_p + entropy)
