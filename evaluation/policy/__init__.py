"""A static look at a candidate before any process starts: a courtesy, not the wall.

It gives an honest author lines, columns and reasons within milliseconds. What it lets through
still runs only inside a box. It reads names and never imports what it judges. A layer that will be
adapted is judged as the tree that its box will compile, and may import fla and transformers, for
which the box has stand-ins.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from typing import NamedTuple

from move37 import syntax
from move37.arch_templates.adapter import style
from move37.evaluation.policy.names import ADAPTED_IMPORTS, IMPORTS
from move37.evaluation.policy.rules import Rules
from move37.records import Failed

SOURCE_LIMIT = 65_536
# More would be noise: the first ones are often the cause of the others.
TOLD = 5
# Elements of one table, and bytes of text or number in one literal.
ELEMENTS, LITERAL_BYTES = 512, 4096
# What may stand in the body of a class besides words.
IN_CLASS = (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Pass)
# Packages whose functions may be called where a constant is defined.
PURE = ("math", "typing")


class Objection(NamedTuple):
    """Where something stands that a candidate may not hold, and what to write instead."""

    line: int
    column: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.reason}"


def inspect(source: str) -> Failed | None:
    """Return why this source cannot be a candidate, or None when nothing speaks against it."""
    try:
        size = len(source.encode())
    except UnicodeEncodeError:
        return _refused("the file is not valid text: it holds half of a surrogate pair")
    if size > SOURCE_LIMIT:
        return _refused(f"the file has {size} bytes, at most {SOURCE_LIMIT} are allowed")
    try:
        tree = syntax.parse(source)
        layer = style.layer_name(tree)
        tree = style.plain(tree) if layer else tree
        rules = Rules(tree, ADAPTED_IMPORTS if layer else IMPORTS)
        found = sorted({*_letters(source), *_objections(tree, rules)})
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", 0) or 0
        return _refused(f"line {line}: the file is not valid Python: {error}")
    if found:
        more = f"\nand {len(found) - TOLD} more" if len(found) > TOLD else ""
        return _refused("\n".join(map(str, found[:TOLD])) + more)
    if layer or any(isinstance(n, ast.ClassDef) and n.name == style.CONTRACT for n in tree.body):
        return None
    return _refused(
        "there is no class TokenMixer at the top level of the file, and no one layer whose forward "
        "takes hidden_states"
    )


def _refused(reason: str) -> Failed:
    return Failed(stage="policy", reason=reason)


def _letters(source: str) -> Iterator[Objection]:
    """Names of other letters than ASCII: Python folds look-alikes into one name."""
    if source.isascii():
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and not token.string.isascii():
            yield Objection(*token.start, f"write the name {token.string!a} in ASCII letters")


def _objections(tree: ast.Module, rules: Rules) -> Iterator[Objection]:
    docstrings = set(_docstrings(tree))
    for node in ast.walk(tree):
        if id(node) in docstrings:
            continue
        for reason in (*rules.objections(node), *_literal(node)):
            yield Objection(getattr(node, "lineno", 0), getattr(node, "col_offset", 0), reason)
    for statement, reason in _bodies(tree, rules):
        yield Objection(statement.lineno, statement.col_offset, reason)


def _docstrings(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield id(first.value)


def _literal(node: ast.AST) -> Iterator[str]:
    """Tables and texts in which knowledge could be carried in."""
    if isinstance(node, ast.Constant) and _bytes(node.value) > LITERAL_BYTES:
        yield f"a literal of more than {LITERAL_BYTES} bytes; a mixer learns from data"
    if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict) and _size(node) > ELEMENTS:
        yield f"a table of more than {ELEMENTS} elements; compute it, or make it nn.Parameter"


def _size(table: ast.expr) -> int:
    """Count the constants in a table and in the tables inside it."""
    return sum(isinstance(node, ast.Constant) for node in ast.walk(table))


def _bytes(value: object) -> int:
    """Return the size of a constant."""
    match value:
        case str():
            return len(value.encode(errors="replace"))
        case bytes():
            return len(value)
        case int():
            return value.bit_length() // 8
        case _:
            return 0


def _bodies(tree: ast.Module, rules: Rules) -> Iterator[tuple[ast.stmt, str]]:
    """Statements that would run when the file is read, rather than when the mixer is called."""
    for statement in tree.body:
        if not _is_definition(statement, rules):
            yield statement, "only imports, constants, functions and classes at the top level"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if not isinstance(statement, IN_CLASS) and not _is_text(statement):
                    yield statement, "only fields and methods in a class; move it to __init__"


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_definition(statement: ast.stmt, rules: Rules) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef() | ast.Pass():
            return True
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return _is_constant(value, rules)
        case ast.AnnAssign(value=None):
            return True
        case ast.If(test=test, body=body, orelse=[]):
            checking = isinstance(test, ast.Name | ast.Attribute)
            named = ast.unparse(test).rsplit(".", 1)[-1] == "TYPE_CHECKING"
            return (
                checking and named and all(isinstance(s, ast.Import | ast.ImportFrom) for s in body)
            )
        case _:
            return _is_text(statement)


def _is_constant(value: ast.expr, rules: Rules) -> bool:
    """Whether a value is made of constants, types and sums, with nothing that runs."""
    for node in ast.walk(value):
        if isinstance(node, ast.Call) and rules.path(node.func).split(".")[0] not in PURE:
            return False
        if isinstance(node, ast.comprehension | ast.Await | ast.NamedExpr):
            return False
    return True
