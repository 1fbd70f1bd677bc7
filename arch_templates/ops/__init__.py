"""Causal building blocks for token mixers, in the names and [B, T, H, K] shapes of fla-core.

Each recurrence has a `naive` form, which is its definition and the oracle in float64, and a
chunkwise form that is fast: on a CPU by products over all chunks at once, on CUDA by fla-core's
kernel where it is installed (`backend` decides). All ops preserve the dtype, never mix the
sequences of a batch, and take and return their state, so that decoding continues where a prefill
ended. Of inputs in half precision the state is kept in float32.
"""

from __future__ import annotations

from move37.arch_templates.ops.attention import (
    causal_attention,
    naive_attention,
    sliding_window_attention,
)
from move37.arch_templates.ops.channel_delta import chunk_kda, naive_recurrent_kda
from move37.arch_templates.ops.convolution import ShortConvolution, causal_conv, token_shift
from move37.arch_templates.ops.delta_product import (
    chunk_gated_delta_product,
    naive_recurrent_gated_delta_product,
)
from move37.arch_templates.ops.delta_rule import (
    chunk_delta_rule,
    chunk_gated_delta_rule,
    naive_recurrent_delta_rule,
    naive_recurrent_gated_delta_rule,
)
from move37.arch_templates.ops.feature_maps import (
    HedgehogFeatureMap,
    dpfp,
    elu1,
    squared_relu,
    taylor,
)
from move37.arch_templates.ops.fir import chunk_causal_fir, naive_causal_fir
from move37.arch_templates.ops.gla import chunk_gla, naive_recurrent_gla
from move37.arch_templates.ops.linear_attention import (
    chunk_linear_attn,
    chunk_retention,
    chunk_simple_gla,
    naive_recurrent_linear_attn,
    naive_recurrent_retention,
    naive_recurrent_simple_gla,
)
from move37.arch_templates.ops.norms import GroupNorm, RMSNorm, l2norm
from move37.arch_templates.ops.rotary import apply_rotary
from move37.arch_templates.ops.rwkv7 import chunk_rwkv7, naive_recurrent_rwkv7
from move37.arch_templates.ops.ssd import chunk_ssd, naive_recurrent_ssd

__all__ = [
    "GroupNorm",
    "HedgehogFeatureMap",
    "RMSNorm",
    "ShortConvolution",
    "apply_rotary",
    "causal_attention",
    "causal_conv",
    "chunk_causal_fir",
    "chunk_delta_rule",
    "chunk_gated_delta_product",
    "chunk_gated_delta_rule",
    "chunk_gla",
    "chunk_kda",
    "chunk_linear_attn",
    "chunk_retention",
    "chunk_rwkv7",
    "chunk_simple_gla",
    "chunk_ssd",
    "dpfp",
    "elu1",
    "l2norm",
    "naive_attention",
    "naive_causal_fir",
    "naive_recurrent_delta_rule",
    "naive_recurrent_gated_delta_product",
    "naive_recurrent_gated_delta_rule",
    "naive_recurrent_gla",
    "naive_recurrent_kda",
    "naive_recurrent_linear_attn",
    "naive_recurrent_retention",
    "naive_recurrent_rwkv7",
    "naive_recurrent_simple_gla",
    "naive_recurrent_ssd",
    "sliding_window_attention",
    "squared_relu",
    "taylor",
    "token_shift",
]
