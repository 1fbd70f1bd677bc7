"""Which form of an op runs: fla-core's Triton kernel on CUDA, else the PyTorch of this package.

The kernels are taken where fla-core is installed (the extra `cuda`) and a device is present. They
are imported here, once and at import, because a box that trains a candidate can open no file
later. `forms()` tells what ran, and a box that trains puts it on record; the first time that a
CUDA tensor does without its kernel, a warning tells why.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from move37.records import Form

State = Any  # A tensor, a tuple of states, or None.
Kernel = Callable[..., tuple[Tensor, State]]

# Where fla-core 0.6 keeps the kernel of each op, under the op's own name.
MODULES: Mapping[str, str] = {
    "chunk_delta_rule": "fla.ops.delta_rule",
    "chunk_gated_delta_product": "fla.ops.gated_delta_product",
    "chunk_gated_delta_rule": "fla.ops.gated_delta_rule",
    "chunk_gla": "fla.ops.gla",
    "chunk_kda": "fla.ops.kda",
    "chunk_linear_attn": "fla.ops.linear_attn",
    "chunk_retention": "fla.ops.retention",
    "chunk_rwkv7": "fla.ops.rwkv7",
    "chunk_simple_gla": "fla.ops.simple_gla",
}
# The arguments that a kernel multiplies as matrices.
NARROW = frozenset({"q", "k", "v", "beta", "r", "a", "b"})
HALF = (torch.bfloat16, torch.float16)
LARGEST_KEY_DIM = 256

_forms: dict[str, Form] = {}
_announced: set[tuple[str, str]] = set()


def load_kernels() -> tuple[dict[str, Kernel], str]:
    """Import fla-core's kernels; return them by op, and why there are none or an empty string."""
    # Asked of the driver's library, not of CUDA: a parent that had started CUDA could not fork.
    if torch.version.cuda is None or torch.cuda.device_count() == 0:
        return {}, "this PyTorch finds no CUDA device"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            modules = {op: importlib.import_module(name) for op, name in MODULES.items()}
    except (ImportError, OSError, RuntimeError) as error:
        return {}, f"fla-core cannot be imported ({error}); pip install 'move37[cuda]'"
    return {op: getattr(module, op) for op, module in modules.items()}, ""


KERNELS, MISSING = load_kernels()


def kernel(op: str, q: Tensor) -> Kernel | None:
    """Return the Triton kernel to run `op` on q [B, T, H, K], or None for PyTorch; record which.

    The choice follows from the device and dtype of q. Under autocast on CUDA the kernel takes the
    dtype of autocast, as a matrix product would. Its arguments have the order of fla-core, as have
    those of the ops here.
    """
    if not q.is_cuda:
        _forms[op] = "chunked"
        return None
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else q.dtype
    obstacle = _obstacle(op, dtype, q.shape[-1])
    if obstacle:
        _forms[op] = "chunked"
        _announce(op, obstacle)
        return None
    _forms.setdefault(op, "triton")
    return partial(_called, KERNELS[op], dtype)


def forms() -> dict[str, Form]:
    """Return the form of each op that has run in this process: `triton` if in every call.

    Only ops with a kernel have a choice. A naive form, and an op that has no other, is a name of
    its own.
    """
    return dict(_forms)


def _obstacle(op: str, dtype: torch.dtype, key_dim: int) -> str:
    """Return why the kernel of `op` cannot be used, or an empty string."""
    if op not in KERNELS:
        return MISSING or "fla-core has no kernel for it"
    if dtype not in HALF:
        return f"the kernel takes bfloat16 and float16, not {dtype}".replace("torch.", "")
    if key_dim > LARGEST_KEY_DIM:
        return f"the kernel takes heads of at most {LARGEST_KEY_DIM}, not {key_dim}"
    return ""


def _announce(op: str, obstacle: str) -> None:
    if (op, obstacle) not in _announced:
        _announced.add((op, obstacle))
        warnings.warn(f"{op} runs as PyTorch on CUDA: {obstacle}", stacklevel=4)


def _called(fast: Kernel, dtype: torch.dtype, /, *args: Any) -> tuple[Tensor, State]:  # noqa: ANN401 - the arguments of any kernel
    """Call a kernel with what enters its products in `dtype`, and the rest as precise as it is.

    The output has that dtype and states are in float32, whatever the kernel makes of them: the
    normaliser of linear attention is kept in the dtype of the keys, and widens the output.
    """
    bound = inspect.signature(fast).bind(*args)
    for name, value in bound.arguments.items():
        if name in NARROW:
            bound.arguments[name] = value.to(dtype)
        elif name == "initial_state":
            bound.arguments[name] = _single(value)
    output, state = fast(*bound.args)
    return output.to(dtype), _single(state)


def _single(state: State) -> State:
    """Return a state in float32: None, a tensor, or a pair in which either may be missing."""
    if isinstance(state, Tensor):
        return state.float()
    return None if state is None else tuple(_single(part) for part in state)
