"""How a layer in the style of flash-linear-attention is told apart and made plain: syntax only.

The trusted side and the box read a file with the same functions, so that the static policy judges
the very tree that a box compiles. Nothing is run here, and torch is not imported.
"""

from __future__ import annotations

import ast

INPUT = "hidden_states"
CONTRACT = "TokenMixer"
# A file may hold smaller modules whose input has the same name; the layer takes one of these too.
OF_A_LAYER = frozenset({"attention_mask", "past_key_values"})
# What asks for a compiler, as a decorator or a call: the evaluator decides what is compiled.
COMPILERS = ("torch.compile", "torch.jit", "torch.compiler", "torch._dynamo")
HALF = frozenset({"torch.bfloat16", "torch.float16", "torch.half"})
HALVING = frozenset({"bfloat16", "half"})


def layer_name(tree: ast.Module) -> str | None:
    """Return the class of a file's one layer; None where a file keeps the contract, or has no one.

    A layer is a class at the top level whose `forward` takes `hidden_states` first.
    """
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    if any(node.name == CONTRACT for node in classes):
        return None
    taking = {node.name: names for node in classes if (names := _forward_names(node))}
    whole = [name for name, names in taking.items() if names & OF_A_LAYER] or list(taking)
    return whole[0] if len(whole) == 1 else None


def _forward_names(node: ast.ClassDef) -> frozenset[str]:
    """Return the parameters of a forward that takes hidden states, else none."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "forward":
            positional = [a.arg for a in (*method.args.posonlyargs, *method.args.args)][1:]
            if positional[:1] == [INPUT]:
                return frozenset([*positional, *(a.arg for a in method.args.kwonlyargs)])
    return frozenset()


def plain(tree: ast.Module) -> ast.Module:
    """Return the tree without compilers and without hard casts to half precision.

    A cast to bfloat16 or float16 becomes one to torch's default dtype: next to operands that were
    not cast it is an error but on the machine for which it was written.
    """
    tree = _Plain(tree).visit(tree)
    return ast.fix_missing_locations(tree)


class _Plain(ast.NodeTransformer):
    """Takes compilers and half precision out; every other node stays where it was."""

    def __init__(self, tree: ast.Module) -> None:
        self._paths: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    short = alias.name.split(".")[0]
                    self._paths[alias.asname or short] = alias.name if alias.asname else short
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self._paths[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        named = [name for name, path in self._paths.items() if path == "torch"]
        self._torch = named[0] if named else None

    def _path(self, node: ast.expr) -> str:
        """Return the dotted path of an imported thing, or nothing for anything else."""
        if isinstance(node, ast.Call):
            return self._path(node.func)
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self._paths:
            return ""
        return ".".join([self._paths[node.id], *reversed(parts)])

    def _compiles(self, node: ast.expr) -> bool:
        path = self._path(node)
        return any(path == name or path.startswith(f"{name}.") for name in COMPILERS)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Drop decorators that compile."""
        node.decorator_list = [d for d in node.decorator_list if not self._compiles(d)]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Turn compile(f) into f, and a half-precision argument or cast into the default one."""
        self.generic_visit(node)
        if self._compiles(node) and len(node.args) == 1:
            return node.args[0]
        if self._torch is None:
            return node
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=attr), args=[], keywords=[]) if (
                attr in HALVING and not self._path(node.func)
            ):
                to = ast.Attribute(value, "to", ast.Load())
                return ast.copy_location(ast.Call(to, [self._default()], []), node)
            case _:
                node.args = [self._wide(a) for a in node.args]
                for keyword in node.keywords:
                    keyword.value = self._wide(keyword.value)
                return node

    def _wide(self, node: ast.expr) -> ast.expr:
        return ast.copy_location(self._default(), node) if self._path(node) in HALF else node

    def _default(self) -> ast.expr:
        torch = ast.Name(self._torch or "torch", ast.Load())
        return ast.Call(ast.Attribute(torch, "get_default_dtype", ast.Load()), [], [])
