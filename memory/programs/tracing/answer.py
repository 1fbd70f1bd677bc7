"""What a mixer's answer is made of: a program traced from its input to the y that it returns.

The text is run with stand-ins for values (statements in `running`, calls in `calling`, expressions
here). Functions and modules of the program's own are entered, temporaries and containers are
followed, branches that cannot be taken are left out, and what never reaches y is not met. Loops are
gone through twice, so that what is carried round is seen. Tensors are followed by name: a change in
place through another name is missed, and of exceptions only the way without them is seen.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from move37 import syntax
from move37.memory.programs.scopes import imports
from move37.memory.programs.tracing.calling import Call, Caller, bound_in
from move37.memory.programs.tracing.running import UNROLLED
from move37.memory.programs.tracing.values import (
    NOTHING,
    SIZE,
    Choice,
    Code,
    Group,
    Known,
    Method,
    Op,
    OwnClass,
    Path,
    Value,
    either,
    element,
    flows,
    mixed,
    operations,
    part,
    truth,
)

MOST_VISITS = 200_000  # of expressions and statements; the longest template has 2,000

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


def answer_of(code: str) -> list[Op]:
    """Return the operations that y is made of, the last first.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it cannot be parsed or followed.
    """
    tree = syntax.parse(code)
    tracer = _Tracer(imports(tree))
    found = dict.fromkeys(operations([tracer.answer(tree)]))
    todo = list(found)
    while todo:
        fresh = [one for one in operations(todo.pop(0).inputs) if one not in found]
        todo += dict.fromkeys(fresh)
        found |= dict.fromkeys(fresh)
    return list(found)


class _Tracer(Caller):
    """Expressions with stand-ins for values."""

    def __init__(self, imported: dict[str, str]) -> None:
        super().__init__()
        self._imported = imported
        self._visits = 0

    def answer(self, tree: ast.Module) -> Value:
        """Return what stands for y, the first of what `forward` returns."""
        self.block(tree.body)
        classes = [one for one in self.globals.values() if isinstance(one, OwnClass)]
        own = [one for one in classes if bound_in(one, "forward")]
        named = [one for one in own if one.node.name == "TokenMixer"]
        if not own:
            raise ValueError("no class has a method forward")
        mixer = (named or own)[-1]
        made = self.instance(mixer, Call((SIZE, SIZE, SIZE), {}, mixer.node))
        given = Call((Op("x", "x", []), Op("state", "state", [])), {}, tree)
        return part(self.call(Method(made, "forward"), given), 0)

    def visit(self, node: ast.AST) -> object:
        """Visit a node.

        Raises:
            ValueError: the program is too long to follow.
        """
        self._visits += 1
        if self._visits > MOST_VISITS:
            raise ValueError("the program is too long to follow")
        return super().visit(node)

    def value(self, node: ast.expr) -> Value:
        """Return what stands for the value of an expression."""
        found = self.visit(node)
        assert isinstance(found, Value)
        return found

    def generic_visit(self, node: ast.AST) -> Value:
        """Return what flows through an expression that is not known here."""
        if not isinstance(node, ast.expr):
            return NOTHING
        inner = [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr)]
        return mixed([self.value(one) for one in inner])

    def visit_Constant(self, node: ast.Constant) -> Value:
        return Known(node.value)

    def visit_Name(self, node: ast.Name) -> Value:
        for frame in (self.frames[-1], self.globals):
            if node.id in frame:
                return frame[node.id]
        return Path(self._imported.get(node.id, node.id))

    def visit_Attribute(self, node: ast.Attribute) -> Value:
        return self.attribute(self.value(node.value), node.attr)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> Value:
        value = self.value(node.value)
        self.store(node.target, value)
        return value

    def visit_Lambda(self, node: ast.Lambda) -> Value:
        return Code(node, self.frames[-1])

    def visit_Call(self, node: ast.Call) -> Value:
        args = self._listed(node.args)
        words = {one.arg or "**": self.value(one.value) for one in node.keywords}
        value: Value = self.call(self.value(node.func), Call(tuple(args), words, node))
        match node.func:
            case ast.Attribute(value=ast.Name() | ast.Subscript() as of, attr=name):
                if name.endswith("_") and not name.startswith("_"):  # in place
                    self.store(of, value)
            case _:
                pass
        return value

    # --- containers ---

    def _listed(self, nodes: list[ast.expr]) -> list[Value]:
        found: list[Value] = []
        for one in nodes:
            value = self.value(one.value if isinstance(one, ast.Starred) else one)
            if isinstance(one, ast.Starred) and isinstance(value, Group):
                found += value.parts.values()
            else:
                found.append(value)
        return found

    def visit_Tuple(self, node: ast.Tuple | ast.List | ast.Set) -> Value:
        return Group(dict(enumerate(self._listed(node.elts))))

    visit_List = visit_Set = visit_Tuple

    def visit_Dict(self, node: ast.Dict) -> Value:
        found = Group({})
        for key, one in zip(node.keys, node.values, strict=True):
            named, value = self.value(key) if key else None, self.value(one)
            found.parts[named.value if isinstance(named, Known) else len(found.parts)] = value
        return found

    def visit_ListComp(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> Value:
        return self._comprehension(node, node.generators, node.elt)

    visit_GeneratorExp = visit_SetComp = visit_ListComp

    def visit_DictComp(self, node: ast.DictComp) -> Value:
        return self._comprehension(node, node.generators, node.value)

    def _comprehension(
        self, node: ast.expr, generators: list[ast.comprehension], made: ast.expr
    ) -> Value:
        over = self.value(generators[0].iter)
        each = list(over.parts.values()) if isinstance(over, Group) else [element(over)]
        found: list[Value] = []
        with self.frame(dict(self.frames[-1]), node):
            for place, one in enumerate(each[:UNROLLED]):
                with self.inside(place):
                    self.store(generators[0].target, one)
                    for other in generators[1:]:
                        self.store(other.target, element(self.value(other.iter)))
                    found.append(self.value(made))
        return Group(dict(enumerate(found)))

    def visit_Subscript(self, node: ast.Subscript) -> Value:
        value, place = self.value(node.value), self.value(node.slice)
        if isinstance(value, Group) and isinstance(node.slice, ast.Slice):
            return _cut(value, node.slice)
        if isinstance(value, Group | Choice):
            return part(value, place.value if isinstance(place, Known) else None)
        if isinstance(value, Op) and _drops_last(node.slice):
            return self.op(node, "shift", "a shift by slices", [value])
        return self.op(node, "index", "an index", [value, place]) if flows(place) else value

    def visit_Slice(self, _: ast.Slice) -> Value:
        return SIZE

    # --- choices and operators ---

    def visit_IfExp(self, node: ast.IfExp) -> Value:
        taken = truth(self.value(node.test))
        if taken is None:
            return either([self.value(node.body), self.value(node.orelse)])
        return self.value(node.body if taken else node.orelse)

    def visit_BoolOp(self, node: ast.BoolOp) -> Value:
        ends = isinstance(node.op, ast.Or)
        found: list[Value] = []
        for one in node.values:
            found.append(self.value(one))
            if truth(found[-1]) is ends:
                break
        decided = all(truth(one) is not None for one in found)
        return found[-1] if decided else either(found)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Value:
        value = self.value(node.operand)
        holds = truth(value)
        if isinstance(node.op, ast.Not):
            return SIZE if holds is None else Known(not holds)
        if isinstance(value, Known) and isinstance(value.value, int | float):
            return Known(-value.value) if isinstance(node.op, ast.USub) else value
        return value

    def visit_Compare(self, node: ast.Compare) -> Value:
        given = [self.value(one) for one in (node.left, *node.comparators)]
        if len(given) == 2 and all(isinstance(one, Known) for one in given):
            return _compared(_COMPARISONS.get(type(node.ops[0])), *given)
        asked = not any(one == NOTHING for one in given)
        return self.op(node, "compare", "a comparison", given) if asked and flows(*given) else SIZE

    def visit_BinOp(self, node: ast.BinOp) -> Value:
        return self.binary(node, node.op, self.value(node.left), self.value(node.right))


def _compared(compare: Callable[[Any, Any], object] | None, left: Value, right: Value) -> Value:
    if compare is None or not (isinstance(left, Known) and isinstance(right, Known)):
        return SIZE
    try:
        return Known(bool(compare(left.value, right.value)))
    except TypeError:
        return SIZE


def _cut(group: Group, place: ast.Slice) -> Value:
    """Return a slice of a list, where its ends are plain numbers."""
    ends = [_number(one) for one in (place.lower, place.upper, place.step)]
    parts = list(group.parts.values())
    written = [one is None for one in (place.lower, place.upper, place.step)]
    plain = all(one is not None or none for one, none in zip(ends, written, strict=True))
    return Group(dict(enumerate(parts[slice(*ends)] if plain and ends[2] != 0 else parts)))


def _number(node: ast.expr | None) -> int | None:
    """Return a whole number that is written out."""
    try:
        found = None if node is None else ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    return found if type(found) is int else None


def _drops_last(place: ast.expr) -> bool:
    """Whether a subscript leaves out the end, as `x[:, :-1]` does."""
    cuts = place.elts if isinstance(place, ast.Tuple) else [place]
    return any(
        isinstance(cut, ast.Slice) and cut.lower is None and isinstance(cut.upper, ast.UnaryOp)
        for cut in cuts
    )
