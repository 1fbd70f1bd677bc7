"""What operations are called here, whatever spelling an author chose."""

from __future__ import annotations

import re

from move37.memory.programs.naming import words

# Rearrangements, casts and guards: what comes out is what went in.
PASSES = words(
    "view reshape unflatten flatten transpose permute swapaxes movedim contiguous unsqueeze "
    "squeeze expand expand_as view_as repeat repeat_interleave tile chunk split tensor_split "
    "unbind narrow select index_select gather take_along_dim getitem float double half bfloat16 "
    "to type type_as clone detach item tolist pad cat concat concatenate stack hstack vstack "
    "clamp clamp_min clamp_max clip nan_to_num rearrange where masked_fill tril triu broadcast_to "
    "append extend insert update get pop items values list tuple dict min max minimum maximum "
    "dropout identity atleast_1d copy reversed sorted as_tensor checkpoint int t flip unfold "
    "as_strided diagonal diag diag_embed setdefault fill neg"
)
# Their answer does not depend on what the given tensor holds.
BLIND = words(
    "zeros_like ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_full "
    "new_empty new_tensor size dim numel element_size is_floating_point isinstance len range "
    "hasattr shape print"
)
ZEROS = words("zeros zeros_like new_zeros")
CREATES = words(
    "zeros ones full empty arange linspace logspace eye tensor rand randn randint randperm finfo "
    "iinfo device Size no_grad enable_grad autocast Tensor dtype manual_seed Generator"
)
# Attributes of a tensor that say nothing of its values, and those that are it in another guise.
FACTS = words("shape dtype device ndim is_cuda requires_grad layout training")
GUISES = words("T mT H mH data real imag")

_FORM = re.compile(
    r"^(?:naive_recurrent|fused_recurrent|chunked|chunk|naive|recurrent|fused|parallel)_(?=\w)"
)
_SAME = {
    "mul": "multiply mult mul_",
    "add": "add_",
    "sub": "subtract rsub sub_",
    "div": "divide true_divide floordiv floor_divide div_",
    "pow": "square float_power sqrt rsqrt",
    "var": "std",
    "attention": "causal_attention sliding_window_attention scaled_dot_product_attention",
    "matmul": "matmult mm bmm einsum tensordot baddbmm addmm inner outer dot mv",
    "conv": "conv1d causal_conv shortconvolution causal_fir conv2d causal_conv1d",
    "norm": "rmsnorm rms_norm layernorm layer_norm groupnorm group_norm batchnorm1d instancenorm1d",
    "l2norm": "normalize",
    "pool": "sum mean cumsum nansum nanmean avg_pool1d",
    "peak": "cummax amax logcumsumexp",
    "silu": "swish",
    "elu": "elu1",
    "shift": "roll token_shift",
    "linear": "linear_",
    "compare": "eq noteq lt lte gt gte ge le ne isin topk argmax is isnot in notin",
}
_CANONICAL = {spelling: label for label, many in _SAME.items() for spelling in many.split()}


def label_of(name: str) -> str:
    """Return one label for all spellings of an operation; `name` may be a dotted path."""
    last = name.rpartition(".")[2].lower()
    form = _FORM.sub("", last)
    # torch.chunk is no form of anything.
    plain = form.removesuffix("_") or form
    return _CANONICAL.get(form) or _CANONICAL.get(plain, plain)
