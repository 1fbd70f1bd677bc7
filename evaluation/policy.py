"""A static look at a candidate before any process starts: a courtesy, not the wall.

It gives an honest author a line and a reason within milliseconds. What it lets through still runs
only inside a box.
"""

from __future__ import annotations

import ast

from move37.records import Failed

ALLOWED = ("torch", "einops", "math", "typing", "__future__", "move37.arch_templates.ops")
FORBIDDEN_NAMES = frozenset(
    {"eval", "exec", "compile", "open", "input", "__import__", "globals", "breakpoint", "exit"}
)
SOURCE_LIMIT = 65_536


def inspect(source: str) -> Failed | None:
    """Return why this source cannot be a candidate, or None when nothing speaks against it."""
    if len(source.encode()) > SOURCE_LIMIT:
        return _refused(f"the file is larger than {SOURCE_LIMIT} bytes")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", 0) or 0
        return _refused(f"line {line}: the file is not valid Python: {error}")
    for node in ast.walk(tree):
        if (reason := _objection(node)) is not None:
            place = f"line {getattr(node, 'lineno', 0)}, column {getattr(node, 'col_offset', 0)}"
            return _refused(f"{place}: {reason}")
    if not any(isinstance(n, ast.ClassDef) and n.name == "TokenMixer" for n in tree.body):
        return _refused("there is no class TokenMixer at the top level of the file")
    return None


def _refused(reason: str) -> Failed:
    return Failed(stage="policy", reason=reason)


def _objection(node: ast.AST) -> str | None:
    match node:
        case ast.Import(names=names):
            bad = [alias.name for alias in names if not _allowed(alias.name)]
            return f"import of {bad[0]!r}; allowed are {', '.join(ALLOWED)}" if bad else None
        case ast.ImportFrom(module=module, level=level):
            if level or not _allowed(module or ""):
                return f"import from {module!r}; allowed are {', '.join(ALLOWED)}"
        case ast.Name(id=name) if name in FORBIDDEN_NAMES:
            return f"{name!r} is not allowed in a token mixer"
    return None


def _allowed(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in ALLOWED)
