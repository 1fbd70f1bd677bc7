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

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Scope = Function | ast.Lambda | Comprehension


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


REGISTERS = ("register_buffer", "register_parameter", "register_module", "add_module")
# Read from outside the program, by the judge or by torch.
PROTOCOL = words("self TokenMixer forward large_state training train eval extra_repr state_dict")
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
    imports = _imports(tree)
    own = _Own(tree, imports)
    _Binder(imports, own).bind(tree, ({},))
    _SpelledOut().visit(tree)
    return tree


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

    def bind(self, node: ast.AST, scopes: tuple[dict[str, str], ...]) -> None:
        """Rename within a node."""
        match node:
            case ast.Module():
                scopes = (self._entities(_stored(node.body)),)
            case ast.Name():
                bound = _look_up(node.id, scopes)
                node.id = bound or Library(self._imports.get(node.id, "")) or node.id
            case ast.arg():
                node.arg = _look_up(node.arg, scopes) or node.arg
            case ast.Attribute() if is_self(node.value):
                node.attr = self._attributes.get(node.attr, node.attr)
            case ast.Call() if text := registered(node):
                text.value = self._attributes.get(str(text.value), text.value)
            case ast.ExceptHandler(name=str(name)):
                node.name = _look_up(name, scopes) or name
            case ast.Global() | ast.Nonlocal():
                node.names = [_look_up(name, scopes) or name for name in node.names]
            case ast.ClassDef():
                node.name = _look_up(node.name, scopes) or node.name
                members = {one: self._attributes.get(one, one) for one in _members(node)}
                scopes = (*scopes, _ClassScope(members))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                node.name = _look_up(node.name, scopes) or node.name
            case _:
                pass
        if isinstance(node, Scope):
            outside = list(_outside(node))
            for child in outside:
                self.bind(child, scopes)
            around = (scope for scope in scopes if not isinstance(scope, _ClassScope))
            scopes = (*around, self._entities(_bound(node)))
            children = [child for child in _children(node) if child not in outside]
        else:
            children = list(ast.iter_child_nodes(node))
        for child in children:
            self.bind(child, scopes)


class _ClassScope(dict[str, str]):
    """Names of a class body, which the functions inside it do not see."""


def _look_up(name: str, scopes: tuple[dict[str, str], ...]) -> str | None:
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


# --- what is bound where ------------------------------------------------------------------------


def _children(scope: Scope) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(scope):
        # The parts of arguments and of a first generator stand half outside.
        half = isinstance(child, ast.arguments | ast.comprehension)
        yield from ast.iter_child_nodes(child) if half else (child,)


def _outside(scope: Scope) -> Iterator[ast.AST]:
    """Yield the parts of a scope that are evaluated around it."""
    if isinstance(scope, Comprehension):
        yield scope.generators[0].iter
        return
    yield from scope.args.defaults
    yield from (one for one in scope.args.kw_defaults if one is not None)
    yield from scope.decorator_list if isinstance(scope, Function) else ()


def _bound(scope: Scope) -> list[str]:
    """Return the names that a scope binds, parameters first."""
    if isinstance(scope, Comprehension):
        targets = [one.target for one in scope.generators]
        return [node.id for to in targets for node in ast.walk(to) if isinstance(node, ast.Name)]
    names = [node.arg for node in ast.walk(scope.args) if isinstance(node, ast.arg)]
    return names + _stored(scope.body) if isinstance(scope, Function) else names


def _stored(body: list[ast.stmt]) -> list[str]:
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


def _imports(tree: ast.Module) -> dict[str, str]:
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


# --- what must keep its name --------------------------------------------------------------------


class _Own:
    """The attributes that a program gives to self, and the names that are used as text."""

    def __init__(self, tree: ast.Module, imports: dict[str, str]) -> None:
        self._imports = imports
        nodes = list(ast.walk(tree))
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        self._functions = {node.name for node in nodes if isinstance(node, Function)}
        self._values = _values(nodes)
        found = [name for one in classes for name in _members(one)] + list(self._values)
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


def _members(node: ast.ClassDef) -> Iterator[str]:
    for one in node.body:
        if isinstance(one, Function):
            yield one.name
        for target in one.targets if isinstance(one, ast.Assign) else []:
            if isinstance(target, ast.Name):
                yield target.id


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
