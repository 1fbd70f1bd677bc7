"""What a statement reads and writes, so that only independent ones change places.

Whatever may change a value in place is ordered against everything, since any other name may stand
for the same value. Not ordered: draws of random numbers, be they initial weights or dropout, for
two mixers that differ in nothing but the draw are one design.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from move37.memory.programs.hazards import captured, freezes, fresh, is_library, library_values
from move37.memory.programs.naming import Entity, Library, words
from move37.memory.programs.scopes import Function, is_self, registered

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
        self._library_values = library_values(nodes, self._classes)
        self._captured = captured(functions, nodes)
        self._handed_on = any(isinstance(node, ast.Lambda) for node in nodes)
        self._handed_on |= self._hands_on_self(nodes)
        self._fresh: set[str] = set()
        for one in functions:
            self._fresh |= fresh(one)
        self.frozen = any(freezes(node) for node in nodes)
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
        """Add what a node does, and what its parts do unless that is all the same."""
        parts: Iterable[ast.AST] = ast.iter_child_nodes(node)
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                effect.writes.add(node.name)
                parts = _run_at_once(node)
            case ast.ClassDef():
                self._class(node, effect)
                parts = ()
            case ast.Call():
                parts = self._call(node, effect)
            case ast.Name() | ast.Attribute() | ast.Subscript():
                parts = self._place(node, effect)
            case _:
                effect.mutates |= isinstance(node, ast.AugAssign)
                effect.leaves |= isinstance(node, CONTROL)
        for part in parts:
            self._add(part, effect)

    def _class(self, node: ast.ClassDef, effect: Effect) -> None:
        body = Effect()
        for part in ast.iter_child_nodes(node):
            self._add(part, body)
        # What a class body defines is its own.
        effect.writes.add(node.name)
        effect.reads |= body.reads - body.writes
        effect.mutates |= body.mutates

    def _place(
        self, node: ast.Name | ast.Attribute | ast.Subscript, effect: Effect
    ) -> Iterable[ast.AST]:
        """Add what is read or written where a place is named; return the parts still to add."""
        loads = isinstance(node.ctx, ast.Load)
        places = effect.reads if loads else effect.writes
        match node:
            case ast.Name(id=name):
                places |= {ALL_OF_SELF, name} if is_self(node) else {name}
                return ()
            case ast.Attribute(attr=name) if is_self(node.value):
                places.add(f"self.{name}")
                if name in self._functions:
                    self._own_code(name, effect)
                return ()
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=key)) if (
                name in self._fresh
            ):
                effect.reads.add(name)
                places.add(f"{name}[{key!r}]")
                return ()
            case _:
                effect.mutates |= not loads
                return ast.iter_child_nodes(node)

    def _own_code(self, name: str, effect: Effect) -> None:
        """Take account of code of the program's own; an empty name stands for any of it."""
        effect.mutates |= name in self._dirty if name else bool(self._dirty)
        if name or self._handed_on:
            effect.reads.add(ALL_OF_SELF)

    def _call(self, call: ast.Call, effect: Effect) -> Iterable[ast.AST]:
        """Add what calling does; return the parts still to add."""
        effect.mutates |= any(word.arg == "out" for word in call.keywords)
        match call.func:
            case ast.Name(id=name):
                self._call_name(name, effect)
            case ast.Attribute() if (text := registered(call)) is not None:
                effect.writes.add(f"self.{text.value!s}")
                return [*call.args[1:], *call.keywords]
            case ast.Attribute(attr=name, value=value):
                self._call_method(name, is_self(value), effect)
            case _:
                self._own_code("", effect)
        return [call.func, *call.args, *call.keywords]

    def _call_name(self, name: str, effect: Effect) -> None:
        if isinstance(name, Library):
            effect.mutates |= _in_place(name.rpartition(".")[2])
        elif name in self._classes:
            effect.mutates |= "__init__" in self._dirty
        elif name in self._functions:
            effect.mutates |= name in self._dirty
        elif isinstance(name, Entity):
            self._own_code("", effect)
        elif name == "super":
            effect.leaves = True
        else:
            effect.mutates |= name not in BUILTINS

    def _call_method(self, name: str, of_self: bool, effect: Effect) -> None:
        if of_self and name in self._library_values:
            return
        effect.mutates |= _in_place(name)
        if name in self._functions:
            self._own_code(name, effect)
        elif of_self:
            self._own_code("", effect)


def _in_place(name: str) -> bool:
    return name in MUTATORS or (name.endswith("_") and not name.endswith("__"))


def _run_at_once(function: Function) -> list[ast.AST]:
    """Return what a definition runs; its body is run by those who call it."""
    defaults = [one for one in function.args.kw_defaults if one is not None]
    return [*function.decorator_list, *function.args.defaults, *defaults]


def _calls_more_than_library(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and not is_library(node.func):
        return True
    parts = _run_at_once(node) if isinstance(node, Function) else ast.iter_child_nodes(node)
    return any(_calls_more_than_library(part) for part in parts)
