"""What Python binds where: the names of a scope, the members of a class, what is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Scope = Function | ast.Lambda | Comprehension

REGISTERS = ("register_buffer", "register_parameter", "register_module", "add_module")


def is_self(node: ast.AST) -> bool:
    """Whether a node is the plain name self."""
    return isinstance(node, ast.Name) and node.id == "self"


def registered(call: ast.Call) -> ast.Constant | None:
    """Return the text by which `self.register_buffer("name", ...)` and its like name something."""
    known = isinstance(call.func, ast.Attribute) and call.func.attr in REGISTERS
    if known and is_self(call.func.value) and call.args:  # type: ignore[attr-defined]
        first = call.args[0]
        return first if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
    return None


def children(scope: Scope) -> Iterator[ast.AST]:
    """Yield the parts of a scope, those of its head one by one."""
    for child in ast.iter_child_nodes(scope):
        # The parts of arguments and of a first generator stand half outside.
        half = isinstance(child, ast.arguments | ast.comprehension)
        yield from ast.iter_child_nodes(child) if half else (child,)


def outside(scope: Scope) -> Iterator[ast.AST]:
    """Yield the parts of a scope that are evaluated around it."""
    if isinstance(scope, Comprehension):
        yield scope.generators[0].iter
        return
    yield from scope.args.defaults
    yield from (one for one in scope.args.kw_defaults if one is not None)
    yield from scope.decorator_list if isinstance(scope, Function) else ()


def bound(scope: Scope) -> list[str]:
    """Return the names that a scope binds, parameters first."""
    if isinstance(scope, Comprehension):
        targets = [one.target for one in scope.generators]
        return [node.id for to in targets for node in ast.walk(to) if isinstance(node, ast.Name)]
    names = [node.arg for node in ast.walk(scope.args) if isinstance(node, ast.arg)]
    return names + stored(scope.body) if isinstance(scope, Function) else names


def stored(body: list[ast.stmt]) -> list[str]:
    """Return the names that statements bind in the scope in which they stand."""
    names: list[str] = []
    elsewhere: set[str] = set()
    todo: list[ast.AST] = list(reversed(body))
    while todo:
        node = todo.pop()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.append(node.name)
                continue
            case ast.Lambda():
                continue
            case ast.comprehension():
                todo += [node.iter, *node.ifs]
                continue
            case ast.Name(ctx=ast.Store()):
                names.append(node.id)
            case ast.ExceptHandler(name=str(name)):
                names.append(name)
            case ast.Global() | ast.Nonlocal():
                elsewhere.update(node.names)
            case _:
                pass
        todo += reversed(list(ast.iter_child_nodes(node)))
    return [name for name in names if name not in elsewhere]


def imports(tree: ast.Module) -> dict[str, str]:
    """Return the full dotted name behind each imported one."""
    full: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                full[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return full


def members(node: ast.ClassDef) -> Iterator[str]:
    """Yield what a class body binds."""
    for one in node.body:
        if isinstance(one, Function):
            yield one.name
        for target in one.targets if isinstance(one, ast.Assign) else []:
            if isinstance(target, ast.Name):
                yield target.id
