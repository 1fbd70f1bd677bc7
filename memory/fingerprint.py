"""One hash for all programs that differ only in names, comments, docstrings and annotations."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache

Function = ast.FunctionDef | ast.AsyncFunctionDef


@lru_cache(maxsize=4096)
def fingerprint(code: str) -> str:
    """Return a hash of the canonical form of a program; constants and order count.

    Code that does not parse is hashed as text. Not covered: reordered statements,
    algebraic equals and renamed keyword arguments, which make different programs here.
    """
    try:
        tree = ast.parse(code)
        tree.body = _without_docstring(tree.body) if tree.body else []
        canonical = ast.unparse(_Canonical(tree).visit(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # The last two are the parser's words for too deeply nested code.
        canonical = "text:" + "\n".join(line.strip() for line in code.splitlines())
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()


class _Canonical(ast.NodeTransformer):
    """Rename what the program itself names, in order of appearance; spell out imports."""

    def __init__(self, tree: ast.Module) -> None:
        self._imports = _imports(tree)
        self._attributes = _numbered("a", _own_attributes(tree))
        self._scopes = [_numbered("g", _defined(tree.body))]

    def visit_Import(self, node: ast.Import) -> None:
        """Drop it: uses of the name are spelled out."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Drop it: uses of the name are spelled out."""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._rename(node.name)
        node.body = _without_docstring(node.body)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.generic_visit(
            ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)
        )

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg, node.annotation = self._rename(node.arg), None
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        for scope in reversed(self._scopes):
            if node.id in scope:
                node.id = scope[node.id]
                return node
        node.id = self._imports.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            node.attr = self._attributes.get(node.attr, node.attr)
        return self.generic_visit(node)

    def _function(self, node: Function) -> ast.AST:
        node.name = self._attributes.get(node.name) or self._rename(node.name)
        node.body, node.returns = _without_docstring(node.body), None
        outer = {name for scope in self._scopes for name in scope}
        local = [name for name in _bound(node) if name not in outer]
        self._scopes.append(_numbered(f"v{len(self._scopes)}_", local))
        self.generic_visit(node)
        self._scopes.pop()
        return node

    def _rename(self, name: str) -> str:
        return next((scope[name] for scope in reversed(self._scopes) if name in scope), name)


def _numbered(prefix: str, names: list[str]) -> dict[str, str]:
    return {name: f"{prefix}{place}" for place, name in enumerate(dict.fromkeys(names))}


def _imports(tree: ast.Module) -> dict[str, str]:
    full: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                full[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return full


def _own_attributes(tree: ast.Module) -> list[str]:
    """Return what is stored on self, and the methods but for `__init__` and its like."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                names.append(node.attr)
        elif isinstance(node, ast.ClassDef):
            names += [one.name for one in node.body if isinstance(one, Function)]
    return [name for name in names if not name.startswith("__")]


def _defined(body: list[ast.stmt]) -> list[str]:
    names = []
    for statement in body:
        if isinstance(statement, Function | ast.ClassDef):
            names.append(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            stored = [one for one in ast.walk(statement) if isinstance(one, ast.Name)]
            names += [one.id for one in stored if isinstance(one.ctx, ast.Store)]
    return names


def _bound(function: Function) -> list[str]:
    names = []
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            names.append(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, Function) and node is not function:
            names.append(node.name)
    return names


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if is_text else body
