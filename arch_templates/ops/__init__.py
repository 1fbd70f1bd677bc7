"""Causal building blocks for token mixers, in the names and [B, T, H, K] shapes of fla-core.

Each recurrence has a `naive` form, which is its definition and the oracle in float64, and a
chunkwise form that is fast. All ops preserve the dtype, never mix the sequences of a batch, and
take and return their state, so that decoding continues where a prefill ended.
"""

from __future__ import annotations

from move37.arch_templates.ops.convolution import ShortConvolution, causal_conv, token_shift
from move37.arch_templates.ops.delta_rule import (
    chunk_delta_rule,
    chunk_gated_delta_rule,
    naive_recurrent_delta_rule,
    naive_recurrent_gated_delta_rule,
)
from move37.arch_templates.ops.linear_attention import (
    chunk_simple_gla,
    naive_recurrent_simple_gla,
)
from move37.arch_templates.ops.norms import RMSNorm, l2norm

__all__ = [
    "RMSNorm",
    "ShortConvolution",
    "causal_conv",
    "chunk_delta_rule",
    "chunk_gated_delta_rule",
    "chunk_simple_gla",
    "l2norm",
    "naive_recurrent_delta_rule",
    "naive_recurrent_gated_delta_rule",
    "naive_recurrent_simple_gla",
    "token_shift",
]
