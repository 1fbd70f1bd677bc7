"""A program's tree without what does not count: docstrings, comments, annotations, dead aliases."""

from __future__ import annotations

import ast

from move37 import syntax
from move37.memory.programs.naming import name_entities
from move37.memory.programs.scopes import Function

BLOCKS = ("body", "orelse", "finalbody")


def normal_tree(code: str, constants: bool = True) -> ast.Module:
    """Return the tree; without `constants` every number in it is 0.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it cannot be parsed; the last two
            are the parser's words for code that is nested too deeply.
    """
    tree = _Plain(constants).visit(syntax.parse(code))
    return _without_unread(name_entities(tree))


class _Plain(ast.NodeTransformer):
    """Drop docstrings, annotations and `pass`; numbers too where they do not count."""

    def __init__(self, constants: bool) -> None:
        self._constants = constants

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for block in BLOCKS:
            body = getattr(node, block, None)
            if isinstance(body, list):
                kept = [one for one in body if not _says_nothing(one)]
                setattr(node, block, kept or ([ast.Pass()] if block == "body" else []))
        if isinstance(node, Function):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        negative = isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
        return node.operand if negative and not self._constants else node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not self._constants and is_number(node):
            return ast.Constant(0)
        return node


def is_number(node: ast.AST) -> bool:
    """Whether a node is a number; True and False are choices, not numbers."""
    return isinstance(node, ast.Constant) and type(node.value) in (int, float, complex)


def _says_nothing(statement: ast.stmt) -> bool:
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_text or isinstance(statement, ast.Pass)


def _without_unread(tree: ast.Module) -> ast.Module:
    """Drop plain assignments at the top that nothing reads: aliases of types were for people."""
    read = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    tree.body = [
        one
        for one in tree.body
        if not (
            isinstance(one, ast.Assign)
            and all(isinstance(to, ast.Name) and to.id not in read for to in one.targets)
            and not any(isinstance(part, ast.Call | ast.NamedExpr) for part in ast.walk(one.value))
        )
    ]
    return tree
