"""What the tests of the ops share: comparing two forms of an op, values and gradients."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

# Lengths and chunk sizes: one token, one chunk, many, all full, one token over, one a token.
CUTS = [(1, 16), (2, 64), (37, 8), (64, 32), (65, 64), (23, 1)]

Call = Callable[..., Any]


def randn(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers, the same in every dtype but for rounding."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype)


def gap(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest entry of b."""
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-30)).item()


def rmse(a: Tensor, b: Tensor) -> float:
    return ((a - b).square().mean().sqrt() / b.square().mean().sqrt()).item()


def values_and_gradients(call: Call, args: dict[str, Any], **options: object) -> list[Tensor]:
    """All outputs, and the gradient of a fixed projection of them in every argument."""
    fresh = tree_map(lambda x: x.detach().clone().requires_grad_(x.is_floating_point()), args)
    outputs = [x for x in tree_leaves(call(**fresh, **options)) if isinstance(x, Tensor)]
    total = torch.zeros((), dtype=torch.float64)
    for seed, output in enumerate(outputs):
        if output.requires_grad:
            weight = randn(seed, *output.shape, dtype=output.dtype)
            total = total + (output * weight).sum()
    leaves = [x for x in tree_leaves(fresh) if x.requires_grad]
    gradients = torch.autograd.grad(total, leaves)
    return [x.detach() for x in (*outputs, *gradients)]


def assert_same(
    naive: Call, fast: Call, args: dict[str, Any], tolerance: float = 1e-9, **options: object
) -> None:
    """Assert that values and gradients of two forms agree; `options` go to the fast one."""
    expected = values_and_gradients(naive, args)
    found = values_and_gradients(fast, args, **options)
    assert len(found) == len(expected) > len(tree_leaves(args))
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        # What is zero but for rounding has no scale of its own, and what is empty has none.
        scale = max(1e-3, b.abs().max().item() if b.numel() else 0.0)
        assert ((a - b).abs() <= tolerance * scale).all()


def assert_single_is_near(naive: Call, fast: Call, args: dict[str, Any]) -> None:
    """Assert that the fast form in float32 is within 1e-4 of the definition in float64."""
    single = tree_map(lambda x: x.float() if x.is_floating_point() else x, args)
    found, expected = values_and_gradients(fast, single), values_and_gradients(naive, args)
    for a, b in zip(found, expected, strict=True):
        if a.is_floating_point():
            assert a.dtype == torch.float32
            assert rmse(a.double(), b) <= 1e-4


def assert_leaves_arguments_alone(call: Call, args: dict[str, Any]) -> None:
    before = tree_map(Tensor.clone, args)
    call(**args)
    for a, b in zip(tree_leaves(args), tree_leaves(before), strict=True):
        assert torch.equal(a, b)


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """Fill all memory that torch hands out uninitialised with NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3).isnan().all()
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def assert_survives_poison(call: Call, args: dict[str, Any]) -> None:
    """Assert that no value or gradient depends on memory that was never written."""
    clean = values_and_gradients(call, args)
    with poisoned_memory():
        poisoned = values_and_gradients(call, args)
    for a, b in zip(poisoned, clean, strict=True):
        assert torch.equal(a, b)


def of_fla(module: str, name: str) -> Any:
    """Return a function of fla-core, or skip the test; it imports on a CPU if triton is there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return getattr(importlib.import_module(module), name)
        except ImportError as error:
            return pytest.skip(f"fla-core is not installed (the extra 'dev'): {error}")
