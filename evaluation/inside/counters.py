"""Deterministic counts of what a computation costs: operations, saved bytes, dispatched ops.

Runs in a box, beside candidate code, so that its figures are claims. The stock counter of torch
knows matrix products, convolutions and attention only; here a Fourier transform costs
5 n log2 n, a sort n log2 n, a matrix factorisation the cube of its side, and whatever else is
dispatched one operation for each element that it reads or writes, so that scans, gathers and
masks of [T, T] are seen too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

# The module of torch that defines dispatch modes; its name is private, its use documented.
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Arguments = Sequence[Any]
Formula = Callable[[Arguments, object], float]


def _elements(values: object) -> list[int]:
    """Return the number of elements of every tensor in nested lists and tuples."""
    if isinstance(values, Tensor):
        return [values.numel()]
    if isinstance(values, (list, tuple)):
        return [count for value in values for count in _elements(value)]
    return []


def _largest(args: Arguments, out: object) -> float:
    return float(max([*_elements(args), *_elements(out)], default=0))


def _fourier(args: Arguments, out: object) -> float:
    x, dims = args[0], args[1]
    sizes = [t.shape[d] for t in (x, out) if isinstance(t, Tensor) for d in dims]
    # A real transform holds half of the spectrum: the longer side is the length that is meant.
    length = max(sizes, default=1) ** len(dims) if dims else 1
    return 5.0 * _largest(args, out) * math.log2(max(length, 2))


def _sort(args: Arguments, out: object) -> float:
    return _largest(args, out) * math.log2(max([2, *args[0].shape]))


def _cubic(args: Arguments, out: object) -> float:
    """A factorisation or a solve: the elements times the side of the matrix."""
    return float(sum(_elements(args)) * args[0].shape[-1]) + _largest(args, out)


def _product(args: Arguments, out: object) -> float:  # noqa: ARG001 - the shape of a formula
    return 2.0 * sum(_elements(args[:2]))


def _pool(args: Arguments, out: object) -> float:
    window = args[1] if isinstance(args[1], (list, tuple)) else args[2]
    return _largest((), out) * float(math.prod(window))


def _attention(args: Arguments, out: object) -> float:  # noqa: ARG001 - the shape of a formula
    """Two products of [T, K] with [K, S], for query [B, H, T, K] and key [B, H, S, K]."""
    query, key = args[0], args[1]
    return 4.0 * float(query.numel() * key.shape[-2])


def _attention_backward(args: Arguments, out: object) -> float:
    return 2.5 * _attention(args[1:], out)


def _distance(args: Arguments, out: object) -> float:
    return 3.0 * _largest((), out) * float(args[0].shape[-1])


def _recurrent(args: Arguments, out: object) -> float:  # noqa: ARG001 - the shape of a formula
    """A fused recurrent layer over x [T, B, D] with two matrices."""
    return 2.0 * float(math.prod(args[0].shape[:2])) * sum(_elements(args[1:3]))


SORTS = ("sort", "topk", "kthvalue", "median", "mode", "_unique2", "unique_dim")
FORMULAS: Mapping[str, Formula] = {
    **dict.fromkeys(("_fft_c2c", "_fft_r2c", "_fft_c2r"), _fourier),
    **dict.fromkeys(SORTS, _sort),
    **dict.fromkeys(("mv", "dot", "vdot", "addmv"), _product),
    **dict.fromkeys(("avg_pool2d", "avg_pool3d", "avg_pool1d"), _pool),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices"), _pool),
    **dict.fromkeys(("cholesky", "cholesky_solve", "cholesky_inverse", "triangular_solve"), _cubic),
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "_cdist_forward": _distance,
    "mkldnn_rnn_layer": _recurrent,
}
LINEAR_ALGEBRA = ("linalg_", "_linalg_")
# They hand out memory or a name for it and touch no element.
FREE = frozenset({"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided"})


def work_of(func: Any, args: Arguments, kwargs: Mapping[str, Any], out: object) -> float:  # noqa: ANN401 - an op of torch
    """Return how many operations one dispatched op stands for."""
    packet = getattr(func, "overloadpacket", func)
    if packet in flop_registry:
        return float(flop_registry[packet](*args, **kwargs, out_val=out)) + _largest((), out)
    name = getattr(packet, "__name__", "")
    if name in FREE or getattr(func, "is_view", False):
        return 0.0
    if name.startswith(LINEAR_ALGEBRA) and args:
        return _cubic(args, out)
    return FORMULAS.get(name, _largest)(args, out)


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts while it is entered: `work` in operations, `ops` in dispatched ops."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work = 0.0
        self.ops = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - the signature of torch
        types: Sequence[type],
        args: Arguments = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Run one op and count it."""
        out = func(*args, **(kwargs or {}))
        self.ops += 1
        self.work += work_of(func, args, kwargs or {}, out)
        return out


class SavedBytes:
    """Bytes that autograd keeps for the backward pass, each memory block once."""

    def __init__(self) -> None:
        self._blocks: dict[int, torch.UntypedStorage] = {}

    @property
    def total(self) -> int:
        """Bytes kept so far."""
        return sum(block.nbytes() for block in self._blocks.values())

    def hooks(self) -> torch.autograd.graph.saved_tensors_hooks:
        """Return the context in which a forward pass is watched."""

        def pack(x: Tensor) -> Tensor:
            block = x.untyped_storage()
            # Kept, so that no later block comes to lie at the same address.
            self._blocks[block.data_ptr()] = block
            # Not x itself: an op that saves its own output would keep itself alive for ever.
            return x.detach()

        return torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x)
