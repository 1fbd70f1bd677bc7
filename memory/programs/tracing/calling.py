"""Calls and operators of a traced program: what is entered, what is an operation, what passes."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from move37.memory.programs.scopes import Function
from move37.memory.programs.tracing.labels import (
    BLIND,
    CREATES,
    FACTS,
    GUISES,
    PASSES,
    ZEROS,
    label_of,
)
from move37.memory.programs.tracing.running import UNROLLED, Runner
from move37.memory.programs.tracing.values import (
    NOTHING,
    SIZE,
    Choice,
    Code,
    Group,
    Instance,
    Known,
    Method,
    Module,
    Op,
    OwnClass,
    Path,
    Size,
    Value,
    either,
    element,
    flows,
    is_zero,
    joined,
    mixed,
    of_group,
    part,
)

DEEPEST = 40  # calls inside calls
RECURSIONS = 2
TENSORS = (Op, Known, Size)
LARGEST = 1e9  # of the numbers that are computed; a candidate may ask for any

_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.MatMult: "@",
}
_METHODS: dict[str, ast.operator] = {
    "add": ast.Add(),
    "sub": ast.Sub(),
    "mul": ast.Mult(),
    "div": ast.Div(),
}
_CONTAINERS = (
    "ModuleList",
    "ParameterList",
    "ModuleDict",
    "ParameterDict",
    "list",
    "tuple",
    "dict",
)
_FUSED = ("addcmul", "lerp")
_GRADIENT = "apply"  # by which a torch.autograd.Function is called


@dataclass(frozen=True)
class Call:
    """Arguments of a call, and where it stands."""

    args: tuple[Value, ...]
    words: dict[str, Value]
    at: ast.AST

    @property
    def given(self) -> tuple[Value, ...]:
        """All arguments, those by keyword last."""
        return (*self.args, *self.words.values())

    def of(self, *args: Value) -> Call:
        """Return the call with other arguments and no keywords."""
        return Call(args, {}, self.at)


class Caller(Runner):
    """Calls with stand-ins for arguments."""

    def call(self, callee: Value, call: Call) -> Value:
        """Return what stands for the answer of a call."""
        match callee:
            case Path(name=path):
                return self._library(path, call)
            case Code():
                return self._enter(callee, call)
            case OwnClass():
                return self.instance(callee, call)
            case Module():
                return self._apply(callee, call)
            case Instance():
                return self.call(self._member(callee, "forward"), call)
            case Method(of=of, name=name):
                return self._method(of, name, call)
            case Choice():
                return self._any_of(callee, call)
            case _:
                return mixed([callee, *call.given])

    def _any_of(self, callee: Choice, call: Call) -> Value:
        found = []
        for place, one in enumerate(callee.options):
            with self.inside(place):
                found.append(self.call(one, call))
        return either(found)

    # --- of the program's own ---

    def _enter(self, code: Code, call: Call) -> Value:
        """Run a function of the program's own."""
        given = [*([code.owner] if code.owner and not _is_static(code.node) else []), *call.args]
        if self.entered.count(code.node) >= RECURSIONS or len(self.entered) > DEEPEST:
            return mixed([*given, *call.words.values()])
        frame = {} if code.around is self.globals else dict(code.around)
        with self.inside(id(call.at)), self.frame(frame, code.node):
            self._bind(code.node.args, given, call.words)
            if isinstance(code.node, ast.Lambda):
                value: Value = self.visit(code.node.body)
                return value
            self.answers.append([])
            self.block(code.node.body)
            return either(self.answers.pop())

    def _bind(self, wanted: ast.arguments, given: list[Value], words: dict[str, Value]) -> None:
        names = [one.arg for one in [*wanted.posonlyargs, *wanted.args]]
        behind = names[len(names) - len(wanted.defaults) :]
        defaults = list(zip(behind, wanted.defaults, strict=True))
        for one, default in zip(wanted.kwonlyargs, wanted.kw_defaults, strict=True):
            defaults += [(one.arg, default)] if default else []
        frame = self.frames[-1]
        frame |= {name: self.visit(default) for name, default in defaults}
        frame |= dict(zip(names, given, strict=False))
        frame |= {name: value for name, value in words.items() if name != "**"}
        if wanted.vararg:
            frame[wanted.vararg.arg] = Group(dict(enumerate(given[len(names) :])))
        if wanted.kwarg:
            frame[wanted.kwarg.arg] = Group(dict(words.items()))

    def instance(self, kind: OwnClass, call: Call) -> Instance:
        """Make a module of the program's own."""
        made = Instance(kind)
        start = bound_in(kind, "__init__")
        if isinstance(start, Function):
            self._enter(Code(start, kind.around, made), call)
        return made

    def attribute(self, of: Value, name: str) -> Value:
        """Return what stands for an attribute."""
        match of:
            case Path(name=path):
                return Path(f"{path}.{name}")
            case Instance():
                return self._member(of, name)
            case Choice(options=held) if not all(isinstance(one, TENSORS) for one in held):
                return either(self.attribute(one, name) for one in held)
            case Module() if name in ("weight", "bias"):
                return of.weight(name)
            case Op() | Choice() if name in GUISES:
                return of
            case Op() | Choice() if name in FACTS:
                return SIZE
            case _:
                return Method(of, name)

    def _member(self, of: Instance, name: str) -> Value:
        if name in of.attributes:
            return of.attributes[name]
        found = bound_in(of.kind, name)
        if isinstance(found, Function):
            return Code(found, of.kind.around, of)
        return self.visit(found) if found is not None else Method(of, name)

    # --- of libraries ---

    def _library(self, path: str, call: Call) -> Value:
        last, args = path.rpartition(".")[2], call.args
        if last in _CONTAINERS:
            return args[0] if args and isinstance(args[0], Group) else _group(*args)
        if last in ("Parameter", "Buffer"):
            return Op(last.lower(), "", [])
        if last[:1].isupper() and "." in path and last not in CREATES:
            return Module(last, call.given)
        if path in _SHAPED and args:
            return _SHAPED[path](self, call)
        if last in ZEROS:
            return Known(0)
        return SIZE if last in CREATES or last in BLIND else self._function(path, call)

    def _function(self, path: str, call: Call) -> Value:
        label, given = label_of(path), call.given
        own = [one for one in given if isinstance(one, Code)]
        if own:  # as torch.utils.checkpoint does
            rest = (one for one in given if not isinstance(one, Code))
            given = (self.call(own[0], call.of(*rest)),)
        on_tensors = path.startswith(("torch", "move37"))
        if label in PASSES or not (on_tensors or flows(*given)):
            return mixed(given)
        if label in _FUSED and len(given) >= 3:
            return self._fused(label, given, call.at)
        name = path.rpartition(".")[2]
        return self.op(call.at, "add" if path == "sum" else label, name, given)

    def _fused(self, label: str, given: Sequence[Value], at: ast.AST) -> Value:
        """Return what three operators in one stand for: a + b c, or a + c (b - a)."""
        first, second, third = given[:3]
        if label == "lerp":
            second = self.binary(at, ast.Sub(), second, first)
        return self.binary(at, ast.Add(), first, self.binary(at, ast.Mult(), second, third))

    def _apply(self, module: Module, call: Call) -> Value:
        """Apply a module; a chain of them one by one."""
        if module.label == "Sequential":
            return self._chain(module, call)
        label = label_of(module.label)
        if label in PASSES:
            return mixed(call.args)
        name = f"{module.label} {module.name}".strip()
        return self.op(call.at, label, name, [*call.given, *module.arguments])

    def _chain(self, module: Module, call: Call) -> Value:
        value = mixed(call.args)
        for place, one in enumerate(module.arguments):
            if isinstance(one, Module) and not one.name:
                one.name = module.name
            with self.inside(place):
                value = self.call(one, call.of(value))
        return value

    # --- methods ---

    def _method(self, of: Value, name: str, call: Call) -> Value:
        match of:
            case Instance():
                return self._of_instance(of, name, call)
            case Group():
                return of_group(of, name, call.args)
            case Module():
                return self._apply(of, call)
            case OwnClass():
                return self._of_class(of, name, call)
            case Choice(options=held) if any(isinstance(one, Group) for one in held):
                return either(self._method(one, name, call) for one in held)
            case Path() | Code() | Method():
                return mixed(call.given)
            case _:
                return self._of_tensor(of, name, call)

    def _of_instance(self, of: Instance, name: str, call: Call) -> Value:
        if name.startswith("register_") and call.args and isinstance(call.args[0], Known):
            kind = "buffer" if name == "register_buffer" else "parameter"
            self.set_attribute(of, str(call.args[0].value), Op(kind, "", []))
            return NOTHING
        own = self._member(of, name)
        return mixed(call.given) if isinstance(own, Method) else self.call(own, call)

    def _of_class(self, of: OwnClass, name: str, call: Call) -> Value:
        """Call a function that belongs to a class; a gradient rule of its own is an operation."""
        rule = name == _GRADIENT
        own = bound_in(of, "forward" if rule else name)
        if not isinstance(own, Function):
            return mixed(call.given)
        given = Call((SIZE, *call.args), call.words, call.at) if rule else call
        value = self._enter(Code(own, of.around), given)
        return self.op(call.at, "gradient", of.node.name, [value]) if rule else value

    def _of_tensor(self, of: Value, name: str, call: Call) -> Value:
        label, given = label_of(name), (of, *call.given)
        if name in ZEROS:
            return Known(0)
        if name in BLIND:
            return SIZE
        if label in PASSES or not flows(*given):
            return mixed(given)
        if label in _METHODS and call.args:
            return self.binary(call.at, _METHODS[label], of, call.args[0])
        if label in _FUSED and len(given) >= 3:
            return self._fused(label, given, call.at)
        return self.op(call.at, label, name, given)

    def binary(self, at: ast.AST, op: ast.operator, left: Value, right: Value) -> Value:
        """Return what stands for two values with an operator between them."""
        if isinstance(left, Group) or isinstance(right, Group):
            return joined(left, right, UNROLLED)
        if isinstance(left, Known) and isinstance(right, Known):
            return _computed(_ARITHMETIC.get(type(op)), left, right)
        if isinstance(op, ast.Mult) and is_zero(left, right):
            return Known(0)
        flowing = [one for one in (left, right) if flows(one)]
        if not flowing:
            return SIZE
        if len(flowing) < 2 and not isinstance(op, ast.Pow | ast.MatMult):
            return flowing[0]  # a scale or an offset by a number changes no mechanism
        label = label_of(type(op).__name__)
        return self.op(at, label, _SIGNS.get(type(op), label), flowing)


# --- what has a shape of its own ----------------------------------------------------------------


def _group(*values: Value) -> Group:
    return Group(dict(enumerate(values)))


def _zip(_: Caller, call: Call) -> Value:
    return _group(_group(*(element(one) for one in call.args)))


def _enumerate(_: Caller, call: Call) -> Value:
    return _group(_group(SIZE, element(call.args[0])))


def _getattr(caller: Caller, call: Call) -> Value:
    name = call.args[1] if len(call.args) > 1 else SIZE
    return caller.attribute(call.args[0], str(name.value)) if isinstance(name, Known) else SIZE


def _map(caller: Caller, call: Call) -> Value:
    over = call.args[1] if len(call.args) > 1 else SIZE
    parts = list(over.parts.values()) if isinstance(over, Group) else [element(over)]
    found = []
    for place, one in enumerate(parts[:UNROLLED]):
        with caller.inside(place):
            found.append(caller.call(call.args[0], call.of(one)))
    return _group(*found)


def _next(_: Caller, call: Call) -> Value:
    return part(call.args[0], 0)


_SHAPED: dict[str, Callable[[Caller, Call], Value]] = {
    "zip": _zip,
    "enumerate": _enumerate,
    "map": _map,
    "next": _next,
    "getattr": _getattr,
}


def bound_in(kind: OwnClass, name: str) -> ast.AST | None:
    """Return what a class, or one of its bases among the program's own, binds to a name."""
    for one in reversed(kind.node.body):
        if isinstance(one, Function) and one.name == name:
            return one
        if isinstance(one, ast.Assign | ast.AnnAssign) and one.value is not None:
            targets = one.targets if isinstance(one, ast.Assign) else [one.target]
            if any(isinstance(to, ast.Name) and to.id == name for to in targets):
                return one.value
    own = (base for base in kind.bases if isinstance(base, OwnClass))
    return next((found for base in own if (found := bound_in(base, name)) is not None), None)


def _is_static(node: ast.AST) -> bool:
    marks = node.decorator_list if isinstance(node, Function) else []
    return any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in marks)


def _computed(compute: Callable[[float, float], float] | None, left: Known, right: Known) -> Value:
    one, other = left.value, right.value
    if compute is None or not (isinstance(one, int | float) and isinstance(other, int | float)):
        return SIZE
    if max(abs(one), abs(other)) > LARGEST:
        return SIZE
    try:
        return Known(compute(one, other))
    except ArithmeticError:
        return SIZE
