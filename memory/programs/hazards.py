"""What a whole program does that decides which of its statements may change places."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from move37.memory.programs.naming import Library, words
from move37.memory.programs.scopes import Function, is_self

LAZY = words("enumerate filter iter map reversed zip")
STATEFUL = ("BatchNorm", "InstanceNorm", "spectral_norm")


def is_library(callee: ast.expr) -> bool:
    """Whether what is called was imported."""
    return isinstance(callee, ast.Name) and isinstance(callee.id, Library)


def library_values(nodes: list[ast.AST], classes: set[str]) -> set[str]:
    """Return the attributes of self that hold only what a library made of values of a library."""
    good: set[str] = set()
    bad: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Assign):
            of_library = isinstance(node.value, ast.Call) and is_library(node.value.func)
            names = {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)}
            of_library = of_library and names.isdisjoint(classes)
            for target in node.targets:
                if isinstance(target, ast.Attribute) and is_self(target.value):
                    (good if of_library else bad).add(target.attr)
    return good - bad


def captured(functions: list[Function], nodes: list[ast.AST]) -> set[str]:
    """Return the names that a function inside a function reads when it is called, not before."""
    inner: list[ast.AST] = [node for node in nodes if isinstance(node, ast.Lambda)]
    for one in functions:
        inner += [node for node in ast.walk(one) if isinstance(node, Function) and node is not one]
    return {node.id for one in inner for node in ast.walk(one) if isinstance(node, ast.Name)}


def fresh(function: Function) -> set[str]:
    """Return local dictionaries that have one name only: their entries are places of their own.

    Such a name is bound once, to an empty one, and occurs elsewhere with a constant index or in
    what the function returns.
    """
    nodes = list(ast.walk(function))
    seen = Counter(node.id for node in nodes if isinstance(node, ast.Name))
    allowed = Counter(name for node in nodes for name in _harmless(node))
    made = Counter(name for node in nodes for name in _made_empty(node))
    return {name for name in made if made[name] == 1 and seen[name] == allowed[name]}


def _made_empty(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(keys=[])):
            yield name
        case _:
            pass


def _harmless(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node uses without giving the container another name."""
    yield from _made_empty(node)
    match node:
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant()):
            yield name
        case ast.Return(value=ast.Name(id=name)):
            yield name
        case ast.Return(value=ast.Tuple(elts=parts)):
            yield from (part.id for part in parts if isinstance(part, ast.Name))
        case _:
            pass


def freezes(node: ast.AST) -> bool:
    """Whether a node is too clever to be read by rules, so that nothing may move."""
    match node:
        case ast.Global() | ast.Nonlocal():
            return True
        case ast.FunctionDef(name=name):
            return name.startswith("__") and name != "__init__"
        case ast.Assign(value=ast.GeneratorExp()):
            return True
        case ast.Assign(targets=[ast.Name()], value=ast.Call(func=ast.Name(id=name))):
            return name in LAZY
        case ast.keyword(arg="inplace", value=value):
            return not (isinstance(value, ast.Constant) and value.value is False)
        case ast.Name(id=name):
            return any(word in name for word in STATEFUL)
        case _:
            return False
