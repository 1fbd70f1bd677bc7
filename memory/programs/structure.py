"""How alike two programs are in what they compute, whatever is named, split up or moved out.

A program is the bag of its operations, each with what flows into it down to a depth: subtrees of
the data flow as in the kernels of Shervashidze et al. (Weisfeiler-Lehman graph kernels, JMLR 2011),
read through temporaries and through functions of the program's own. Two bags are compared by the
weighted Jaccard index (Ioffe, ICDM 2010): what they share, over what either has.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from zlib import crc32

from move37.memory.programs.canonical import is_number, normal_tree
from move37.memory.programs.naming import Entity, Library
from move37.memory.programs.scopes import Function, is_self

DEPTH = 3  # an operation, its operands, theirs; a deeper one tells any two programs apart
KEPT = 8192  # programs
HOPS = 40  # through temporaries and own functions, a bound for recursive ones

OPERATIONS = (
    ast.Call,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.Subscript,
    ast.AugAssign,
    ast.For,
    ast.While,
    ast.ListComp,
    ast.GeneratorExp,
)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
COMMUTATIVE = ("Add", "Mult")

Features = Counter[int]


def similarity(code: str, other: str) -> float:
    """Return a number in [0, 1]; 1 for the same bag of operations, 0 when one cannot be parsed."""
    return _jaccard(features(code), features(other))


def nearest_code(
    code: str, earlier: Mapping[int, str], k: int | None = None
) -> tuple[tuple[int, float], ...]:
    """Return numbers and similarities of the `k` most similar programs, or of all, best first."""
    mine = features(code)
    alike = [(number, _jaccard(mine, features(other))) for number, other in earlier.items()]
    return tuple(sorted(alike, key=lambda one: (-one[1], one[0]))[:k])


def _jaccard(one: Features, other: Features) -> float:
    # With sums the union need not be built: |a or b| = |a| + |b| - |a and b|.
    small, large = (one, other) if len(one) < len(other) else (other, one)
    shared = sum(min(times, large.get(what, 0)) for what, times in small.items())
    total = one.total() + other.total() - shared
    return shared / total if total else 0.0


@lru_cache(maxsize=KEPT)
def features(code: str) -> Features:
    """Return the bag of a program's operations, as hashes; empty when it cannot be parsed."""
    try:
        return _Flow(normal_tree(code, constants=False)).bag()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Counter()


class _Flow:
    """The flow of data: which expression stands behind a name where it is read."""

    def __init__(self, tree: ast.Module) -> None:
        self._values: dict[int, ast.AST] = {}  # behind a name that is read, by the name's node
        self._made: dict[str, ast.AST] = {}  # behind an attribute of self
        self._answers: dict[str, ast.AST] = {}  # what a function of the program's own returns
        self._hashes: dict[tuple[int, int], int] = {}
        self._operations: list[ast.AST] = []
        self._follow(tree, {})

    def bag(self) -> Features:
        """Count each operation at each depth; a call of own code is what that code does."""
        counted = (node for node in self._operations if self._own_answer(node) is None)
        return Counter(self._hash(node, depth, HOPS) for node in counted for depth in range(DEPTH))

    def _follow(self, node: ast.AST, stored: dict[str, ast.AST]) -> None:
        """Walk in the order of the text, which is that of execution but for loops."""
        if isinstance(node, OPERATIONS):
            self._operations.append(node)
        match node:
            case ast.Module(body=body):
                # Functions read what the whole module defines, wherever that stands.
                for statement in sorted(body, key=lambda one: isinstance(one, DEFINITIONS)):
                    self._follow(statement, stored)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._follow_function(node, stored)
            case ast.Assign() | ast.AugAssign(target=ast.Name()):
                self._follow_assignment(node, stored)
            case ast.Name(ctx=ast.Load(), id=name) if name in stored:
                self._values[id(node)] = stored[name]
            case _:
                for child in ast.iter_child_nodes(node):
                    self._follow(child, stored)

    def _follow_function(self, node: Function, stored: dict[str, ast.AST]) -> None:
        inside = dict(stored)
        for statement in node.body:
            self._follow(statement, inside)
        for part in ast.walk(node):
            if isinstance(part, ast.Return) and part.value is not None:
                self._answers[node.name] = part.value

    def _follow_assignment(
        self, node: ast.Assign | ast.AugAssign, stored: dict[str, ast.AST]
    ) -> None:
        self._follow(node.value, stored)
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._store(target, node.value, stored)
        elif isinstance(node.target, ast.Name):
            # A node of its own, for the value before is not the value after.
            before = ast.Name(node.target.id, ast.Load())
            self._follow(before, stored)
            stored[node.target.id] = ast.BinOp(before, node.op, node.value)

    def _store(self, target: ast.AST, value: ast.AST, stored: dict[str, ast.AST]) -> None:
        match target:
            case ast.Name(id=name):
                stored[name] = value
            case ast.Attribute(attr=name) if is_self(target.value):
                self._made.setdefault(name, value)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for place, part in enumerate(parts):
                    self._store(part, _taken(value, place), stored)
            case _:
                self._follow(target, stored)

    def _own_answer(self, node: ast.AST) -> ast.AST | None:
        """Return what the program's own function answers, where a node calls one."""
        match node:
            case ast.Call(func=ast.Name(id=name)):
                return self._answers.get(name)
            case ast.Call(func=ast.Attribute(attr=name) as callee) if is_self(callee.value):
                return self._answers.get(name)
            case _:
                return None

    def _behind(self, node: ast.AST) -> ast.AST | None:
        """Return what a node merely stands for."""
        match node:
            case ast.Name():
                return self._values.get(id(node))
            case ast.Attribute(attr=name) if is_self(node.value):
                return self._made.get(name)
            case _:
                return self._own_answer(node)

    # --- bags ---

    def _hash(self, node: ast.AST, depth: int, hops: int) -> int:
        key = (id(node), depth)
        if key not in self._hashes:
            behind = self._behind(node) if hops else None
            if behind is not None:
                self._hashes[key] = self._hash(behind, depth, hops - 1)
            else:
                self._hashes[key] = self._operation(node, depth, hops)
        return self._hashes[key]

    def _operation(self, node: ast.AST, depth: int, hops: int) -> int:
        label, operands = self._read(node, hops)
        if not depth:
            return crc32(label.encode(errors="surrogatepass"))
        below = [self._hash(one, depth - 1, hops) for one in operands]
        if label in COMMUTATIVE:
            below.sort()
        return crc32(f"{label} {below}".encode(errors="surrogatepass"))

    def _read(self, node: ast.AST, hops: int) -> tuple[str, list[ast.AST]]:
        """Return what a node does, and the nodes that it does it to."""
        match node:
            case ast.Call():
                return self._call(node, hops)
            case ast.Constant(value=value):
                return ("number" if is_number(node) else repr(value)), []
            case ast.Name(id=name):
                return name.rpartition(".")[2] if isinstance(name, Library) else "given", []
            case ast.Attribute(attr=name):
                return f".{name}", [] if is_self(node.value) else [node.value]
            case ast.BinOp(left=left, op=op, right=right):
                return type(op).__name__, [left, right]
            case ast.Compare(left=left, ops=ops, comparators=right):
                return " ".join(type(op).__name__ for op in ops), [left, *right]
            case _:
                return _label(node), _operands(node)

    def _call(self, call: ast.Call, hops: int) -> tuple[str, list[ast.AST]]:
        words = sorted(call.keywords, key=lambda word: word.arg or "")
        given: list[ast.AST] = [*call.args, *(word.value for word in words)]
        match call.func:
            case ast.Name(id=Library() as path):
                return path.rpartition(".")[2], given
            case ast.Attribute(attr=name) as callee if is_self(callee.value):
                made = self._made.get(name)
                label = (
                    self._read(made, hops - 1)[0] if hops and isinstance(made, ast.Call) else name
                )
                # A method of torch's, as in self.register_buffer, keeps its name.
                return label if made is None else f"apply {label}", given
            case ast.Attribute(attr=name, value=value):
                return name, [value, *given]
            case ast.Name(id=name):
                return "own" if isinstance(name, Entity) else name, given
            case _:
                return "call", [call.func, *given]


def _label(node: ast.AST) -> str:
    return type(node.op).__name__ if isinstance(node, ast.UnaryOp) else type(node).__name__


def _operands(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.For):
        return [node.iter]
    return [node.operand] if isinstance(node, ast.UnaryOp) else list(ast.iter_child_nodes(node))


def _taken(value: ast.AST, place: int) -> ast.AST:
    """Return one part of a value that is unpacked."""
    if isinstance(value, ast.Tuple | ast.List) and place < len(value.elts):
        return value.elts[place]
    assert isinstance(value, ast.expr)
    return ast.Subscript(value, ast.Constant(f"part {place}"), ast.Load())
