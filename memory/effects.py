"""What a statement reads and writes, so that only independent ones change places.

Whatever may change a value in place is ordered against everything, since any other name may stand
for the same value. Not ordered: draws of random numbers, be they initial weights or dropout, for
two mixers that differ in nothing but the draw are one design.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from move37.memory.naming import Entity, Function, Library, is_self, registered, words

# Any attribute of self: what a method of the program's own reads, for all that is known.
ALL_OF_SELF = "self.*"
# Calls of a value's method by these names change that value, if it is of a kind that has them.
MUTATORS = words(
    "append extend insert pop popitem update clear remove setdefault discard add reverse sort "
    "apply backward register_hook register_forward_hook register_forward_pre_hook write send "
    "load_state_dict requires_grad zero_grad"
)
BUILTINS = words(
    "abs all any bool dict enumerate filter float frozenset int isinstance len list map max min "
    "range repr reversed round set slice sorted str sum tuple type zip"
)
LAZY = words("enumerate filter iter map reversed zip")
STATEFUL = ("BatchNorm", "InstanceNorm", "spectral_norm")
CONTROL = (
    ast.Return,
    ast.Raise,
    ast.Assert,
    ast.Break,
    ast.Continue,
    ast.Delete,
    ast.Try,
    ast.Match,
    ast.Await,
    ast.Yield,
    ast.YieldFrom,
)


@dataclass
class Effect:
    """Places that are read and written; a barrier is ordered against every other statement."""

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    mutates: bool = False
    leaves: bool = False

    def precedes(self, later: Effect) -> bool:
        """Whether the later statement has to stay behind this one."""
        if self.mutates or self.leaves or later.mutates or later.leaves:
            return True
        return _meet(self.writes, later.reads | later.writes) or _meet(later.writes, self.reads)


def _meet(writes: set[str], places: set[str]) -> bool:
    of_self = ALL_OF_SELF in places and any(place.startswith("self.") for place in writes)
    return of_self or not writes.isdisjoint(places)


class Effects:
    """The effects of the statements of one program with named entities."""

    def __init__(self, tree: ast.Module) -> None:
        nodes = list(ast.walk(tree))
        functions = [node for node in nodes if isinstance(node, Function)]
        self._classes = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
        self._functions = {one.name for one in functions}
        self._library_values = _library_values(nodes, self._classes)
        self._captured = _captured(functions, nodes)
        self._handed_on = any(isinstance(node, ast.Lambda) for node in nodes)
        self._handed_on |= self._hands_on_self(nodes)
        self._fresh: set[str] = set()
        for one in functions:
            self._fresh |= _fresh(one)
        # Too clever to be read by rules: everything stays where it is.
        self.frozen = any(_freezes(node) for node in nodes)
        self._dirty: set[str] = set()
        while more := {one.name for one in functions if self._is_dirty(one)} - self._dirty:
            self._dirty |= more

    def of(self, statement: ast.stmt, top: bool) -> Effect:
        """Return what one statement does where it stands; at the top it runs once, on import."""
        effect = Effect(mutates=self.frozen)
        self._add(statement, effect)
        # What it calls may read whatever is defined around it.
        effect.leaves |= top and _calls_more_than_library(statement)
        effect.mutates |= bool(effect.writes & self._captured)
        return effect

    def _is_dirty(self, function: Function) -> bool:
        """Whether calling a function may change a value that others hold."""
        effect = Effect()
        for statement in function.body:
            self._add(statement, effect)
        own = any(place.startswith("self.") for place in effect.writes)
        return effect.mutates or (own and function.name != "__init__")

    def _hands_on_self(self, nodes: list[ast.AST]) -> bool:
        """Whether self or a method of it is used other than by a dot or a call."""
        spoken = [node.value for node in nodes if isinstance(node, ast.Attribute)]
        called = [node.func for node in nodes if isinstance(node, ast.Call)]
        usual = {id(node) for node in (*spoken, *called)}
        return any(
            is_self(node) or (isinstance(node, ast.Attribute) and node.attr in self._functions)
            for node in nodes
            if id(node) not in usual and isinstance(getattr(node, "ctx", None), ast.Load)
        )

    def _add(self, node: ast.AST, effect: Effect) -> None:
        children = list(ast.iter_child_nodes(node))
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                effect.writes.add(node.name)
                children = _run_at_once(node)
            case ast.ClassDef():
                body = Effect()
                for child in children:
                    self._add(child, body)
                # What a class body defines is its own.
                effect.writes.add(node.name)
                effect.reads |= body.reads - body.writes
                effect.mutates |= body.mutates
                children = []
            case ast.Name(ctx=ast.Load()):
                effect.reads |= {ALL_OF_SELF, node.id} if is_self(node) else {node.id}
            case ast.Name():
                effect.writes.add(node.id)
            case ast.AugAssign():
                effect.mutates = True
            case ast.Attribute() if is_self(node.value):
                self._attribute(node, effect)
                children = []
            case ast.Attribute(ctx=ast.Store()):
                effect.mutates = True
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=key)) if (
                name in self._fresh
            ):
                effect.reads.add(name)
                places = effect.reads if isinstance(node.ctx, ast.Load) else effect.writes
                places.add(f"{name}[{key!r}]")
                children = []
            case ast.Subscript(ctx=ast.Store()):
                effect.mutates = True
            case ast.Call():
                children = self._call(node, effect)
            case _:
                effect.leaves |= isinstance(node, CONTROL)
        for child in children:
            self._add(child, effect)

    def _attribute(self, node: ast.Attribute, effect: Effect) -> None:
        places = effect.reads if isinstance(node.ctx, ast.Load) else effect.writes
        places.add(f"self.{node.attr}")
        if node.attr in self._functions:
            self._own_code(node.attr, effect)

    def _own_code(self, name: str, effect: Effect) -> None:
        """Take account of code of the program's own; an empty name stands for any of it."""
        effect.mutates |= name in self._dirty if name else bool(self._dirty)
        if name or self._handed_on:
            effect.reads.add(ALL_OF_SELF)

    def _call(self, call: ast.Call, effect: Effect) -> list[ast.AST]:
        """Add what calling does; return the parts that are still to be added."""
        parts: list[ast.AST] = [call.func, *call.args, *call.keywords]
        effect.mutates |= any(word.arg == "out" for word in call.keywords)
        named = registered(call)
        match call.func:
            case ast.Name(id=Library() as path):
                effect.mutates |= _in_place(path.rpartition(".")[2])
            case ast.Name(id=name) if name in self._classes:
                effect.mutates |= "__init__" in self._dirty
            case ast.Name(id=name) if name in self._functions:
                effect.mutates |= name in self._dirty
            case ast.Name(id=Entity()):
                self._own_code("", effect)
            case ast.Name(id="super"):
                effect.leaves = True
            case ast.Name(id=name):
                effect.mutates |= name not in BUILTINS
            case ast.Attribute() if named is not None:
                effect.writes.add(f"self.{named.value!s}")
                return [*call.args[1:], *call.keywords]
            case ast.Attribute(attr=name) if is_self(call.func.value):
                if name not in self._functions and name not in self._library_values:
                    self._own_code("", effect)
                effect.mutates |= _in_place(name) and name not in self._library_values
            case ast.Attribute(attr=name):
                effect.mutates |= _in_place(name)
                if name in self._functions:
                    self._own_code(name, effect)
            case _:
                self._own_code("", effect)
        return parts


def _in_place(name: str) -> bool:
    return name in MUTATORS or (name.endswith("_") and not name.endswith("__"))


def _run_at_once(function: Function) -> list[ast.AST]:
    """Return what a definition runs; its body is run by those who call it."""
    defaults = [one for one in function.args.kw_defaults if one is not None]
    return [*function.decorator_list, *function.args.defaults, *defaults]


def _calls_more_than_library(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and not _is_library(node.func):
        return True
    parts = _run_at_once(node) if isinstance(node, Function) else ast.iter_child_nodes(node)
    return any(_calls_more_than_library(part) for part in parts)


def _library_values(nodes: list[ast.AST], classes: set[str]) -> set[str]:
    """Return the attributes of self that hold only what a library made of values of a library."""
    good: set[str] = set()
    bad: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Assign):
            of_library = isinstance(node.value, ast.Call) and _is_library(node.value.func)
            names = {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)}
            of_library = of_library and names.isdisjoint(classes)
            for target in node.targets:
                if isinstance(target, ast.Attribute) and is_self(target.value):
                    (good if of_library else bad).add(target.attr)
    return good - bad


def _is_library(callee: ast.expr) -> bool:
    return isinstance(callee, ast.Name) and isinstance(callee.id, Library)


def _captured(functions: list[Function], nodes: list[ast.AST]) -> set[str]:
    """Return the names that a function inside a function reads when it is called, not before."""
    inner: list[ast.AST] = [node for node in nodes if isinstance(node, ast.Lambda)]
    for one in functions:
        inner += [node for node in ast.walk(one) if isinstance(node, Function) and node is not one]
    return {node.id for one in inner for node in ast.walk(one) if isinstance(node, ast.Name)}


def _fresh(function: Function) -> set[str]:
    """Return local containers that have one name only: their entries are places of their own.

    Such a name is bound once, to a literal, and occurs elsewhere with a constant index or in what
    the function returns.
    """
    made: dict[str, int] = {}
    allowed: dict[str, int] = {}
    seen: dict[str, int] = {}
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(keys=[])):
                made[name] = made.get(name, 0) + 1
                allowed[name] = allowed.get(name, 0) + 1
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant()):
                allowed[name] = allowed.get(name, 0) + 1
            case ast.Return(value=ast.Name(id=name)):
                allowed[name] = allowed.get(name, 0) + 1
            case ast.Return(value=ast.Tuple(elts=parts)):
                for part in parts:
                    if isinstance(part, ast.Name):
                        allowed[part.id] = allowed.get(part.id, 0) + 1
            case ast.Name(id=name):
                seen[name] = seen.get(name, 0) + 1
            case _:
                pass
    return {name for name, times in made.items() if times == 1 and seen[name] == allowed[name]}


def _freezes(node: ast.AST) -> bool:
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
