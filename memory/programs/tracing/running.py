"""The statements of a program, run with stand-ins for its values: what is stored where."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from move37.memory.programs.tracing.values import (
    NOTHING,
    Code,
    Group,
    Instance,
    Known,
    Module,
    Op,
    OwnClass,
    Value,
    either,
    element,
    mixed,
    options,
    part,
    truth,
)

UNROLLED = 16  # passes of a loop over what the program lists itself
Frame = dict[str, Value]


class Runner(ast.NodeVisitor):
    """Visits statements (True: nothing follows); expressions are visited by `tracing`.

    An operation is known by its place in the text and the calls that led there, so a loop that is
    gone through twice has it once.
    """

    def __init__(self) -> None:
        self.globals: Frame = {}
        self.frames: list[Frame] = [self.globals]
        self.entered: list[ast.AST] = []
        self.answers: list[list[Value]] = []
        self._path: tuple[int, ...] = ()
        self._made: dict[tuple[tuple[int, ...], int, str], Op] = {}
        self._sums: dict[int, ast.BinOp] = {}
        self._loops = 0

    def op(self, at: ast.AST, label: str, name: str, given: Iterable[Value]) -> Op:
        """Return the operation of a place; met again, more may flow into it."""
        key = (self._path, id(at), label)
        found = self._made.setdefault(key, Op(label, name, [], looped=self._loops > 0))
        for value in given:
            if not any(value is known for known in found.inputs):
                found.inputs.append(value)
        return found

    @contextmanager
    def inside(self, place: int) -> Iterator[None]:
        """Tell apart what one place of the text does in several calls or passes."""
        before, self._path = self._path, (*self._path, place)
        yield
        self._path = before

    @contextmanager
    def frame(self, frame: Frame, of: ast.AST) -> Iterator[None]:
        """Give a function its own names."""
        self.frames.append(frame)
        self.entered.append(of)
        yield
        self.frames.pop()
        self.entered.pop()

    def block(self, body: Iterable[ast.stmt]) -> bool:
        """Run statements until nothing can follow."""
        return any(self.visit(one) is True for one in body)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Bind a function."""
        self.frames[-1][node.name] = Code(node, self.frames[-1])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Bind a class."""
        bases = tuple(self.visit(base) for base in node.bases)
        self.frames[-1][node.name] = OwnClass(node, self.frames[-1], bases)

    def visit_Return(self, node: ast.Return) -> bool:
        """Note an answer of the function that is run."""
        if self.answers:
            self.answers[-1].append(self.visit(node.value) if node.value else NOTHING)
        return True

    def visit_Raise(self, _: ast.Raise) -> bool:
        """End a way that gives no answer."""
        return True

    def visit_Assert(self, _: ast.Assert) -> None:
        """What is only asserted is not used."""

    def visit_Expr(self, node: ast.Expr) -> None:
        """Run an expression for what it changes."""
        self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        """Assign to each target."""
        value = self.visit(node.value)
        for target in node.targets:
            self.store(target, value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Assign, whatever the type."""
        if node.value is not None:
            self.store(node.target, self.visit(node.value))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """Assign what the operator gives."""
        # Kept, for an operation is known by its node.
        sums = ast.BinOp(node.target, node.op, node.value)
        self.store(node.target, self.visit(self._sums.setdefault(id(node), sums)))

    def visit_If(self, node: ast.If) -> bool:
        """Run the branch that is taken, or both."""
        taken = truth(self.visit(node.test))
        if taken is not None:
            return self.block(node.body if taken else node.orelse)
        return self._branches([node.body, node.orelse])

    def visit_Match(self, node: ast.Match) -> bool:
        """Run each case."""
        return self._branches([*(case.body for case in node.cases), []])

    def visit_Try(self, node: ast.Try) -> bool:
        """Run the way without exceptions."""
        ended = self.block([*node.body, *node.orelse])
        return self.block(node.finalbody) or ended

    def visit_With(self, node: ast.With) -> bool:
        """Run the body."""
        for item in node.items:
            value = self.visit(item.context_expr)
            if item.optional_vars:
                self.store(item.optional_vars, value)
        return self.block(node.body)

    def visit_For(self, node: ast.For) -> bool:
        """Run the body for each listed value, or as a loop over what is not known."""
        over = self.visit(node.iter)
        if not isinstance(over, Group):
            self._repeat(node.body, lambda: self.store(node.target, element(over)))
            return self.block(node.orelse)
        for place, one in enumerate(list(over.parts.values())[:UNROLLED]):
            with self.inside(place):
                self.store(node.target, one)
                if self.block(node.body):
                    return True
        return self.block(node.orelse)

    def visit_While(self, node: ast.While) -> bool:
        """Run the body as a loop, but where its test never holds."""
        if truth(self.visit(node.test)) is not False:
            self._repeat(node.body, lambda: None)
        return self.block(node.orelse)

    def _repeat(self, body: list[ast.stmt], start: Callable[[], None]) -> None:
        self._loops += 1
        for _ in range(2):
            start()
            self._branches([body, []])
        self._loops -= 1

    def _branches(self, bodies: Sequence[Sequence[ast.stmt]]) -> bool:
        """Run each from the same start, and go on with what any that goes on has left."""
        frame, left = self.frames[-1], list[Frame]()
        start = dict(frame)
        for body in bodies:
            frame.clear()
            frame.update(start)
            if not self.block(body):
                left.append(dict(frame))
        for name in dict.fromkeys(name for one in left for name in one):
            frame[name] = either(one[name] for one in left if name in one)
        return not left

    # --- storing ---

    def store(self, target: ast.expr, value: Value) -> None:
        """Assign a value to a target."""
        match target:
            case ast.Name(id=name):
                self.frames[-1][name] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                self._unpack(parts, value)
            case ast.Starred(value=inner):
                self.store(inner, value)
            case ast.Attribute(value=of, attr=name):
                self.set_attribute(self.visit(of), name, value)
            case ast.Subscript(value=of, slice=place):
                self._set_part(of, self.visit(place), value)
            case _:
                pass

    def _unpack(self, targets: list[ast.expr], value: Value) -> None:
        starred = any(isinstance(one, ast.Starred) for one in targets)
        for place, one in enumerate(targets):
            self.store(one, element(value) if starred else part(value, place))

    def set_attribute(self, of: Value, name: str, value: Value) -> None:
        """Assign to an attribute; a module or parameter is called after the first."""
        if isinstance(of, Instance):
            for one in value.parts.values() if isinstance(value, Group) else [value]:
                if isinstance(one, Module | Op) and not one.name:
                    one.name = f"self.{name}"
            of.attributes[name] = value

    def _set_part(self, of: ast.expr, key: Value, value: Value) -> None:
        """Put a value into a container, or into a tensor: then it is one more thing in it."""
        held = self.visit(of)
        groups = [one for one in options(held) if isinstance(one, Group)]
        for group in groups:
            if isinstance(key, Known) and isinstance(key.value, int | str):
                group.parts[key.value] = value
            else:
                group.add(value)
        if not groups:
            self.store(of, mixed([held, value]))
