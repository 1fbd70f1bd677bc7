"""What the warm parent imports and touches once, so that no box needs a file.

A box cannot open a file, so whatever torch, einops or Python import at their first use must have
been imported here: this list is the reason why an unusual but honest mixer runs.
"""

from __future__ import annotations

import importlib

import safetensors.torch
import torch
from torch import nn

# Imported at first use by torch, einops or the standard library.
LAZY = (
    "bisect",
    "contextlib",
    "copy",
    "dataclasses",
    "encodings.idna",
    "einops._torch_specific",
    "einops.layers.torch",
    "fractions",
    "functools",
    "heapq",
    "inspect",
    "itertools",
    "linecache",
    "math",
    "numbers",
    "numpy.ctypeslib",
    "numpy.fft",
    "numpy.random",
    "operator",
    "random",
    "statistics",
    "string",
    "textwrap",
    "torch._dynamo",
    "torch.autograd.forward_ad",
    "torch.autograd.functional",
    "torch.distributions",
    "torch.fft",
    "torch.func",
    "torch.linalg",
    "torch.nn.attention",
    "torch.nn.utils.parametrizations",
    "torch.nn.utils.parametrize",
    "torch.special",
    "torch.utils.checkpoint",
    "torch.utils.flop_counter",
    "typing",
    "move37.arch_templates.ops",
    "move37.evaluation.inside.jobs",
    "move37.evaluation.inside.train",
    "move37.evaluation.isolation.canaries",
    "move37.evaluation.isolation.protocol",
)


def warm_up() -> None:
    """Import and touch once what every box needs, before any candidate exists."""
    torch.set_num_threads(1)
    for name in LAZY:
        importlib.import_module(name)
    layer = nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.zeros(1, 2)).sum().backward()
    optimiser.step()
    _touch()


def _touch() -> None:
    """Run once what loads a library or a table at its first call."""
    x = torch.rand(2, 8, 8, requires_grad=True)
    torch.fft.irfft(torch.fft.rfft(x)).sum().backward()
    torch.linalg.solve_triangular(torch.eye(8), x, upper=False)
    torch.einsum("bij,bjk->bik", x, x)
    nn.functional.conv1d(x, torch.rand(8, 1, 3), groups=8)
    nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)
    torch.utils.checkpoint.checkpoint(torch.exp, x, use_reentrant=False)
    torch.func.vmap(torch.sum)(x)
    safetensors.torch.load(safetensors.torch.save({"x": x.detach()}))
