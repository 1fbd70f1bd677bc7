"""The rules of the static policy for one node of the syntax tree at a time.

`Rules` knows which names of a file stand for what was imported, so that `F.pad`, after `from
torch.nn import functional as F`, is judged as `torch.nn.functional.pad`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from move37.evaluation.policy import names

# The arguments of type(name, bases, body), which makes a class.
MAKES_A_CLASS = 3
# A field that goes on with an attribute or an item: "{0.__class__}".
REACHING = re.compile(r"\{[^}:]*[.\[_]")


class Rules:
    """What may stand in one file, which may import `imports`."""

    def __init__(self, tree: ast.Module, imports: tuple[str, ...]) -> None:
        self._allowed = imports
        self._imported: dict[str, str] = {}
        self._bound: set[str] = set()
        self._inner: set[int] = set()
        for node in ast.walk(tree):
            self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    short = alias.name.split(".")[0]
                    self._imported[alias.asname or short] = alias.name if alias.asname else short
            case ast.ImportFrom(module=str(module), names=aliases):
                for alias in aliases:
                    self._imported[alias.asname or alias.name] = f"{module}.{alias.name}"
            case ast.Attribute(value=ast.Attribute() | ast.Name() as value):
                self._inner.add(id(value))
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                self._bound.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                self._bound.add(name)
            case _:
                return

    def path(self, node: ast.expr) -> str:
        """Return the dotted path of an imported thing, or nothing for anything else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self._imported:
            return ""
        return ".".join([self._imported[node.id], *reversed(parts)])

    def objections(self, node: ast.AST) -> Iterator[str]:
        """Say what speaks against this node, in sentences that tell what to write instead."""
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from _import(node, self._allowed)
            case ast.Attribute():
                yield from self._attribute(node)
            case ast.Name():
                yield from self._name(node)
            case ast.Call():
                yield from self._call(node)
            case ast.ClassDef() | ast.FunctionDef():
                yield from self._definition(node)
            case _:
                yield from _statement(node)

    def _name(self, node: ast.Name) -> Iterator[str]:
        name = node.id
        if isinstance(node.ctx, ast.Load) and id(node) not in self._inner:
            path = self.path(node)
            if path in names.MODULES:
                yield f"{name!r} as a value; write out which member of {path} you need"
            yield from _path(path)
        if name in self._imported or name in self._bound or name not in names.KNOWN_BUILTINS:
            if _dunder(name) and name not in names.DUNDER_NAMES:
                yield f"the name {name!r}; {names.BUILTIN_DEFAULT}"
        elif name not in names.BUILTINS | names.DUNDER_NAMES:
            yield f"{name!r}: {names.BUILTIN_ADVICE.get(name, names.BUILTIN_DEFAULT)}"

    def _attribute(self, node: ast.Attribute) -> Iterator[str]:
        path = self.path(node)
        if isinstance(node.ctx, ast.Store | ast.Del):
            if path:
                yield f"{path!r} is changed; what is imported belongs to the evaluator too"
            elif node.attr in names.WRITTEN | dict.fromkeys(names.METHODS):
                advice = names.WRITTEN.get(node.attr, names.METHOD_ADVICE)
                yield f"{node.attr!r} is replaced: {advice}"
        if path and id(node) not in self._inner:
            if path in names.MODULES:
                yield f"{path!r} as a value; write out which member of it you need"
            yield from _path(path)
        yield from _member(node.attr)

    def _call(self, node: ast.Call) -> Iterator[str]:
        match node:
            case ast.Call(func=ast.Name(id="getattr" | "setattr" | "hasattr" as name)):
                yield from _by_name(name, node)
            case ast.Call(func=ast.Name(id="type")) if len(node.args) >= MAKES_A_CLASS:
                yield "type() makes a class here; write a class statement"
            case ast.Call(func=ast.Attribute(attr="format", value=ast.Constant(value=str(text)))):
                if REACHING.search(text):
                    yield "a format that reaches into its arguments; use an f-string"
            case _:
                return

    def _definition(self, node: ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
        if isinstance(node, ast.ClassDef):
            yield from self._class(node)
        elif _dunder(node.name) and node.name not in names.DUNDER_DEFINED:
            yield f"{node.name!r} is defined; a mixer needs __init__ and forward only"

    def _class(self, node: ast.ClassDef) -> Iterator[str]:
        for keyword in node.keywords:
            yield f"the class argument {keyword.arg!r}; derive from nn.Module and nothing else"
        for base in node.bases:
            if (path := self.path(base)) in names.BASES:
                yield f"a class derived from {path}; {names.BASES[path]}"
        for statement in node.body:
            for name in _defined(statement):
                if name in names.METHODS:
                    yield f"{node.name}.{name} is replaced: {names.METHOD_ADVICE}"


def _dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _defined(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def _import(node: ast.Import | ast.ImportFrom, allowed: tuple[str, ...]) -> Iterator[str]:
    told = f"allowed are {', '.join(allowed)}"
    if isinstance(node, ast.Import):
        paths = [alias.name for alias in node.names]
    else:
        module = node.module or ""
        if node.level or not _is_below(module, allowed):
            yield f"import from {'.' * node.level + module!r}; {told}"
            return
        paths = [f"{module}.{alias.name}" for alias in node.names]
    for path in paths:
        if path.endswith(".*"):
            yield f"everything of {path[:-2]!r} is imported; name what you need"
        elif not _is_below(path, allowed):
            yield f"import of {path!r}; {told}"
        else:
            yield from _path(path)


def _is_below(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in packages)


def _path(path: str) -> Iterator[str]:
    """Judge a dotted path of something imported; at most one objection."""
    parts = path.split(".")
    for end in range(2, len(parts) + 1):
        above, part, below = ".".join(parts[: end - 1]), parts[end - 1], ".".join(parts[:end])
        if below in names.REFUSED:
            yield f"{below!r}: {names.REFUSED[below]}"
        elif above == "torch" and part.startswith("set_"):
            yield f"{below!r}: {names.GLOBAL_SETTING}"
        elif part.startswith("_") and not _dunder(part):
            yield f"{below!r} is not public; use what the documentation of {parts[0]} names"
        elif part in names.INNER_MODULES and below not in names.MODULES:
            yield f"{below!r} is another module; {names.BUILTIN_DEFAULT}"
        elif part not in names.NARROW.get(above, {part}):
            yield f"{below!r}: of {above} only {', '.join(sorted(names.NARROW[above]))} is allowed"
        else:
            continue
        return


def _member(name: str) -> Iterator[str]:
    """Judge the name of an attribute, whatever it belongs to."""
    if name in names.ATTRIBUTES:
        yield f"{name!r}: {names.ATTRIBUTES[name]}"
    elif _dunder(name) and name not in names.DUNDER_READ:
        yield f"the attribute {name!r}; a mixer has no use for it"


def _by_name(function: str, node: ast.Call) -> Iterator[str]:
    match node.args:
        case [_, ast.Constant(value=str(name)), *_]:
            yield from _member(name)
            if function == "setattr" and name in names.METHODS | names.WRITTEN.keys():
                yield f"{name!r} is replaced: {names.METHOD_ADVICE}"
        case _:
            yield (
                f"{function} with a computed name; write the attribute out, or keep several parts "
                "in nn.ModuleList, nn.ParameterList or a dict"
            )


def _statement(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Global(names=bound):
            yield f"global {', '.join(bound)}: keep what must last in the state that you return"
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            yield "asynchronous code; a mixer is a plain function of its input"
        case ast.ExceptHandler(type=None):
            yield "an except that catches everything; name the error that you expect"
        case _:
            return
