"""What the tests of the ops share: comparing two forms of an op, values and gradients."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

# Lengths and chunk sizes: one token, one chunk, many, all full, one token over, one a token.
CUTS = [(1, 16), (2, 64), (37, 8), (64, 32), (65, 64), (23, 1)]

# What a definition of fla-core may import here.
PLAIN = frozenset({"__future__", "einops", "math", "torch", "typing"})

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


def fla_source(module: str) -> ast.Module:
    """Return a file of fla-core, parsed; skip the test without fla-core."""
    try:
        files = metadata.distribution("fla-core")
    except metadata.PackageNotFoundError:
        pytest.skip("fla-core is not installed (the extra 'dev')")
    path = Path(str(files.locate_file(module.replace(".", "/"))))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def of_fla(module: str, name: str) -> Any:
    """Return a function or class of fla-core; skip the test without fla-core.

    The package imports Triton before anything else, which is not needed here: what is asked for is
    executed by itself, with what it calls in its file and the file's imports of torch and einops.
    """
    tree = fla_source(module)
    defined = {n.name: n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    needed, reached = [name], {name}
    while needed:
        names = {n.id for n in ast.walk(defined[needed.pop()]) if isinstance(n, ast.Name)}
        needed += (names & defined.keys()) - reached
        reached |= names & defined.keys()
    kept = [n for n in tree.body if _is_plain_import(n) or getattr(n, "name", None) in reached]
    scope: dict[str, Any] = {"__name__": module}
    exec(compile(ast.Module(kept, []), module, "exec", dont_inherit=True), scope)
    return scope[name]


def fla_signature(package: str, name: str) -> inspect.Signature:
    """Return the signature of what a package of fla-core takes from one of its files."""
    imports = [n for n in fla_source(package).body if isinstance(n, ast.ImportFrom) and n.level]
    file = next(n.module for n in imports if name in [alias.name for alias in n.names])
    functions = {
        n.name: n for n in fla_source(f"{package}.{file}").body if isinstance(n, ast.FunctionDef)
    }
    found = ast.parse(f"def {name}({ast.unparse(functions[name].args)}): ...").body
    # Annotations name what is not imported here.
    future = ast.parse("from __future__ import annotations").body
    scope: dict[str, Any] = {}
    exec(compile(ast.Module([*future, *found], []), package, "exec", dont_inherit=True), scope)
    return inspect.signature(scope[name])


def _is_plain_import(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return str(node.module).split(".")[0] in PLAIN
    return isinstance(node, ast.Import) and all(a.name.split(".")[0] in PLAIN for a in node.names)
