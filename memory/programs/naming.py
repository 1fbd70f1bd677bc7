"""Which names a program chose itself, and which mean the same thing: the scopes of Python.

Names that the program chose become an `Entity` each; what others read stays as it is: the class
TokenMixer, `forward`, parameters that are passed by keyword. An import is spelled out wherever it
is used. The renaming is one to one, so it never makes two programs one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from itertools import count
from typing import TypeGuard

from move37.memory.programs.scopes import (
    Function,
    Scope,
    bound,
    children,
    imports,
    is_self,
    members,
    outside,
    registered,
    stored,
)

Scopes = tuple[dict[str, str], ...]


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


# Read from outside the program, by the judge or by torch.
PROTOCOL = words(
    "self TokenMixer forward large_state training train eval extra_repr state_dict "
    "backward setup_context jvp vmap"
)
# With these an attribute may be reached by its name as text, so attributes keep theirs.
DYNAMIC = words(
    "getattr setattr hasattr delattr vars __dict__ named_parameters named_modules named_children "
    "named_buffers get_parameter get_buffer get_submodule state_dict"
)


class Entity(str):
    """A name that the program chose; what it says has no meaning, only where it occurs."""

    __slots__ = ()


class Library(str):
    """The full dotted name of something imported."""

    __slots__ = ()


def name_entities(tree: ast.Module) -> ast.Module:
    """Return the tree, changed in place, with entities and full names of what is imported."""
    full = imports(tree)
    _Binder(full, _Own(tree, full)).bind(tree, ())
    _SpelledOut().visit(tree)
    return tree


class _Binder:
    """Renames in place; `scopes` are the names that are bound around a node, outermost first."""

    def __init__(self, imports: dict[str, str], own: _Own) -> None:
        self._fresh = count()
        self._imports = imports
        self._own = own
        self._attributes = self._entities(own.attributes)

    def _entities(self, names: Iterable[str]) -> dict[str, str]:
        """Give each name an entity, but those that are kept: they shadow what is around them."""
        return {
            name: name if self._own.keeps(name) else Entity(f"%{next(self._fresh)}")
            for name in dict.fromkeys(names)
        }

    def bind(self, node: ast.AST, scopes: Scopes) -> None:
        """Rename within a node."""
        inner = scopes
        match node:
            case ast.Module():
                inner = (self._entities(stored(node.body)),)
            case ast.ClassDef():
                own = {one: self._attributes.get(one, one) for one in members(node)}
                inner = (*scopes, _ClassScope(own))
            case _:
                pass
        self._rename(node, scopes)
        if isinstance(node, Scope):
            self._bind_scope(node, scopes)
            return
        for child in ast.iter_child_nodes(node):
            self.bind(child, inner)

    def _bind_scope(self, node: Scope, scopes: Scopes) -> None:
        around = list(outside(node))
        for child in around:
            self.bind(child, scopes)
        seen = (scope for scope in scopes if not isinstance(scope, _ClassScope))
        inner = (*seen, self._entities(bound(node)))
        for child in children(node):
            if child not in around:
                self.bind(child, inner)

    def _rename(self, node: ast.AST, scopes: Scopes) -> None:
        match node:
            case ast.Name(id=name):
                full = Library(self._imports.get(name, ""))
                node.id = _look_up(name, scopes) or full or name
            case ast.arg(arg=name):
                node.arg = _look_up(name, scopes) or name
            case ast.Attribute(attr=name) if is_self(node.value):
                node.attr = self._attributes.get(name, name)
            case ast.Call() if text := registered(node):
                text.value = self._attributes.get(str(text.value), text.value)
            case (
                ast.ExceptHandler(name=str(name))
                | ast.ClassDef(name=name)
                | ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
            ):
                node.name = _look_up(name, scopes) or name
            case ast.Global() | ast.Nonlocal():
                node.names = [_look_up(name, scopes) or name for name in node.names]
            case _:
                pass


class _ClassScope(dict[str, str]):
    """Names of a class body, which the functions inside it do not see."""


def _look_up(name: str, scopes: Scopes) -> str | None:
    return next((scope[name] for scope in reversed(scopes) if name in scope), None)


class _SpelledOut(ast.NodeTransformer):
    """Make one name of the path to something imported; drop the imports."""

    def visit_Import(self, node: ast.Import) -> None:
        """Drop it."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Drop it."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and isinstance(node.value.id, Library):
            return ast.Name(Library(f"{node.value.id}.{node.attr}"), node.ctx)
        return node


# --- what must keep its name --------------------------------------------------------------------


class _Own:
    """The attributes that a program gives to self, and the names that are used as text."""

    def __init__(self, tree: ast.Module, imports: dict[str, str]) -> None:
        self._imports = imports
        nodes = list(ast.walk(tree))
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        self._functions = {node.name for node in nodes if isinstance(node, Function)}
        self._values = _values(nodes)
        found = [name for one in classes for name in members(one)] + list(self._values)
        found += [str(text.value) for call in _calls(nodes) if (text := registered(call))]
        spoken = {node.id for node in nodes if isinstance(node, ast.Name)}
        spoken |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        self._kept = {word for call in _calls(nodes) for word in self._keywords(call)} | {
            name for node in nodes for name in _pattern_names(node)
        }
        # Another class may reach into this one: `self.gates.scale`.
        reached = self._reached(nodes) if len(classes) > 1 else set()
        free = (name for name in found if name not in reached and not self.keeps(name))
        self.attributes: list[str] = [] if spoken & DYNAMIC else list(dict.fromkeys(free))

    def keeps(self, name: str) -> bool:
        """Whether a name is read from outside, or passed by keyword to the program's own code."""
        return name in self._kept or name in PROTOCOL or name.startswith("__")

    def _keywords(self, call: ast.Call) -> Iterator[str]:
        if not self._is_library(call.func):
            yield from (one.arg for one in call.keywords if one.arg)

    def _is_library(self, callee: ast.expr) -> bool:
        match callee:
            case ast.Name(id=name):
                return name in self._imports
            case ast.Attribute(attr=name):
                own_value = name in self._values and not all(
                    isinstance(value, ast.Call) and self._is_library(value.func)
                    for value in self._values[name]
                )
                return name not in self._functions and not own_value
            case _:
                return False

    def _reached(self, nodes: list[ast.AST]) -> set[str]:
        """Return the attributes of anything but self and what is imported."""
        return {
            node.attr
            for node in nodes
            if isinstance(node, ast.Attribute)
            and not is_self(node.value)
            and not (isinstance(node.value, ast.Name) and node.value.id in self._imports)
        }


def _calls(nodes: list[ast.AST]) -> Iterator[ast.Call]:
    return (node for node in nodes if isinstance(node, ast.Call))


def _values(nodes: list[ast.AST]) -> dict[str, list[ast.AST]]:
    """Return what is assigned to each attribute of self; the attribute where that is not plain."""
    values: dict[str, list[ast.AST]] = {}
    plain: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if _is_stored(target):
                    values.setdefault(target.attr, []).append(node.value)
                    plain.add(id(target))
    for node in nodes:
        if _is_stored(node) and id(node) not in plain:
            values.setdefault(node.attr, []).append(node)
    return values


def _is_stored(node: ast.AST) -> TypeGuard[ast.Attribute]:
    is_own = isinstance(node, ast.Attribute) and is_self(node.value)
    return is_own and isinstance(node.ctx, ast.Store)  # type: ignore[attr-defined]


def _pattern_names(node: ast.AST) -> Iterator[str]:
    """Yield names that match statements bind, which stand there as text."""
    match node:
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case _:
            pass
