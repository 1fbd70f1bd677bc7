"""The hand-written templates and the ops, as text: importing this module imports no torch.

`TEMPLATES` keep the contract and may root a campaign. `BOUNDS` are quadratic: they fail the gates
of cost, and only those, and stand beside the others as what memory without a limit is worth.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import resources
from typing import NamedTuple

from move37 import syntax

TEMPLATES: tuple[str, ...] = (
    "delta_net",
    "gated_delta_net",
    "kda",
    "delta_product",
    "linear_attention",
    "ret_net",
    "gla",
    "mamba2",
    "rwkv7",
    "hybrid",
    "path_gate_fusion_net",
    "content_sharp_router",
    "fusion_gated_fir_net",
    "hier_gate_net",
    "ada_multi_path_gate_net",
)
BOUNDS: tuple[str, ...] = ("softmax_attention",)


def template_source(name: str) -> str:
    """Return the source of a template or a bound.

    Raises:
        ValueError: there is no template of this name.
    """
    known = TEMPLATES + BOUNDS
    if name not in known:
        raise ValueError(f"template is {name!r}, expected one of {', '.join(known)}")
    return (resources.files("move37.arch_templates") / f"{name}.py").read_text(encoding="utf-8")


class Op(NamedTuple):
    """A public op as text: how it is called, with what it returns, and what it does, in a line."""

    name: str
    call: str
    summary: str


@cache
def ops() -> tuple[Op, ...]:
    """Return what `move37.arch_templates.ops` offers, by name, read from its source."""
    folder = resources.files("move37.arch_templates") / "ops"

    def parsed(module: str) -> ast.Module:
        return syntax.parse((folder / f"{module}.py").read_text(encoding="utf-8"))

    imports = (node for node in parsed("__init__").body if isinstance(node, ast.ImportFrom))
    found = []
    for imported in imports:
        _, _, module = str(imported.module).rpartition("arch_templates.ops.")
        if module != "__future__":
            names = {alias.name for alias in imported.names}
            file = parsed(module)
            defined = (n for n in file.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)))
            found += [_op(node, file) for node in defined if node.name in names]
    return tuple(sorted(found))


@cache
def op_names() -> frozenset[str]:
    """Return the names that `move37.arch_templates.ops` offers."""
    return frozenset(op.name for op in ops())


def _op(node: ast.FunctionDef | ast.ClassDef, module: ast.Module) -> Op:
    """Describe a function, or a module by what constructs it and what it is then called with."""
    aliases = {
        target.id: ast.unparse(alias.value)
        for alias in module.body
        if isinstance(alias, ast.Assign)
        for target in alias.targets
        if isinstance(target, ast.Name)
    }
    if isinstance(node, ast.FunctionDef):
        call = f"{node.name}{_arguments(node)} -> {_returns(node, aliases)}"
    else:
        methods = {m.name: m for m in node.body if isinstance(m, ast.FunctionDef)}
        made, run = methods["__init__"], methods["forward"]
        call = f"{node.name}{_arguments(made)}{_arguments(run)} -> {_returns(run, aliases)}"
    return Op(node.name, call, (ast.get_docstring(node) or "").split("\n")[0])


def _arguments(function: ast.FunctionDef) -> str:
    """Return the arguments without self and annotations; a default that is a name is `...`."""
    names = [argument.arg for argument in function.args.args]
    defaults = [
        "..." if isinstance(default, ast.Name) else ast.unparse(default)
        for default in function.args.defaults
    ]
    first = len(names) - len(defaults)
    parts = names[:first] + [
        f"{name}={default}" for name, default in zip(names[first:], defaults, strict=True)
    ]
    return f"({', '.join(part for part in parts if part != 'self')})"


def _returns(function: ast.FunctionDef, aliases: dict[str, str]) -> str:
    """Return the annotation of the result, with the names of its module spelled out."""
    text = ast.unparse(function.returns) if function.returns else "None"
    return re.sub(r"\w+", lambda word: aliases.get(word[0], word[0]), text)
