"""What a name stands for while a program is traced (`tracing`), and what follows from that."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Known:
    """A constant; numbers are followed so that a switch that is off is seen to be off."""

    value: object


@dataclass(frozen=True)
class Size:
    """A number, or a tensor of numbers, that nothing of the input flows into."""


@dataclass(eq=False)
class Op:
    """One operation on tensors: what it is, what its author calls it, and what flows into it.

    `looped` are those that are repeated for each token, in a loop that the program writes out.
    """

    label: str
    name: str
    inputs: list[Value]
    looped: bool = False


@dataclass(eq=False)
class Group:
    """A tuple, list or dict, by index or key."""

    parts: dict[object, Value]

    def add(self, value: Value) -> None:
        """Append; the same value again, as in a loop, is one part."""
        if not any(part is value for part in self.parts.values()):
            self.parts[len(self.parts)] = value


@dataclass(frozen=True, eq=False)
class Choice:
    """One of several values; which one the text alone does not say."""

    options: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Path:
    """Something imported or built in, by its full dotted name."""

    name: str


@dataclass(frozen=True, eq=False)
class Code:
    """A function of the program's own, with what it closes over and whom it belongs to."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    around: dict[str, Value]
    owner: Instance | None = None


@dataclass(frozen=True, eq=False)
class OwnClass:
    """A class of the program's own."""

    node: ast.ClassDef
    around: dict[str, Value]
    bases: tuple[Value, ...] = ()


@dataclass(eq=False)
class Instance:
    """A module of the program's own."""

    kind: OwnClass
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(eq=False)
class Module:
    """A module of a library, made once and applied later; `name` is the attribute that holds it."""

    label: str
    arguments: tuple[Value, ...]
    name: str = ""
    weights: dict[str, Op] = field(default_factory=dict)

    def weight(self, name: str) -> Op:
        """Return the parameter of this name, which is another operation than the module."""
        return self.weights.setdefault(name, Op("parameter", f"{self.name}.{name}", []))


@dataclass(frozen=True, eq=False)
class Method:
    """A method of a value that is not the program's own."""

    of: Value
    name: str


Value = Known | Size | Op | Group | Choice | Path | Code | OwnClass | Instance | Module | Method

SIZE = Size()
NOTHING = Known(None)


def operations(values: Iterable[Value]) -> Iterator[Op]:
    """Yield the operations that values stand for, each as often as it is met."""
    todo = list(values)[::-1]
    seen: set[int] = set()
    while todo:
        value = todo.pop()
        if isinstance(value, Op):
            yield value
        elif isinstance(value, Group | Choice) and id(value) not in seen:
            seen.add(id(value))
            inside = value.parts.values() if isinstance(value, Group) else value.options
            todo += list(inside)[::-1]


def flows(*values: Value) -> bool:
    """Whether any operation stands behind the values."""
    return next(operations(values), None) is not None


def either(values: Iterable[Value]) -> Value:
    """Return one value for several that may stand in one place."""
    found: list[Value] = []
    for value in values:
        options = value.options if isinstance(value, Choice) else (value,)
        found += [one for one in options if not any(_same(one, known) for known in found)]
    if len(found) == 1:
        return found[0]
    return Choice(tuple(found)) if found else NOTHING


def _same(one: Value, other: Value) -> bool:
    return one is other or (isinstance(one, Known | Size) and one == other)


def mixed(values: Iterable[Value]) -> Value:
    """Return what a rearrangement of values stands for: their operations, else a number."""
    found = list(dict.fromkeys(operations(values)))
    return either(found) if found else SIZE


def part(value: Value, key: object) -> Value:
    """Return what stands under an index or a key; of one operation, that operation."""
    match value:
        case Group(parts=parts):
            if isinstance(key, int) and key < 0:
                key += len(parts)
            return parts[key] if _found(key, parts) else either(parts.values())
        case Choice(options=options):
            return either(part(one, key) for one in options)
        case Op() | Instance() | Module():
            return value
        case _:
            return SIZE


def _found(key: object, parts: dict[object, Value]) -> bool:
    return isinstance(key, int | str) and key in parts


def element(value: Value) -> Value:
    """Return what stands for each element of something that is gone through."""
    match value:
        case Group(parts=parts):
            return either(parts.values())
        case Choice(options=options):
            return either(element(one) for one in options)
        case Op() | Module() | Instance():
            return value
        case _:
            return SIZE


def options(value: Value) -> tuple[Value, ...]:
    """Return the values of which one stands here."""
    return value.options if isinstance(value, Choice) else (value,)


def truth(value: Value) -> bool | None:
    """Whether a test holds; None where the text does not say so."""
    return bool(value.value) if isinstance(value, Known) else None


def is_zero(*values: Value) -> bool:
    """Whether one of the values is the number 0."""
    numbers = [one.value for one in values if isinstance(one, Known)]
    return any(isinstance(one, int | float) and one == 0 for one in numbers)


def joined(left: Value, right: Value, most: int) -> Group:
    """Return a list after another, or one that is repeated, of at most `most` parts."""
    match left, right:
        case Group(parts=held), Known(value=int(times)):
            found = list(held.values()) * min(times, most)
        case Known(value=int(times)), Group(parts=held):
            found = list(held.values()) * min(times, most)
        case Group(parts=held), Group(parts=other):
            found = [*held.values(), *other.values()]
        case _:
            found = [element(left), element(right)]
    return Group(dict(enumerate(found)))


def of_group(group: Group, name: str, args: Sequence[Value]) -> Value:
    """Do to a list or dict what its method does."""
    given = args[-1] if args else SIZE
    match name:
        case "extend" | "update" if isinstance(given, Group):
            for one in list(given.parts.values()):
                group.add(one)
            return NOTHING
        case "append" | "add" | "insert" | "extend" | "update" | "setdefault":
            group.add(given)
            return NOTHING
        case "items":
            return Group({0: Group({0: SIZE, 1: element(group)})})
        case "values" | "copy":
            return group
        case "get" | "pop":
            return part(group, args[0].value if args and isinstance(args[0], Known) else None)
        case _:
            return SIZE
