"""One order for all programs whose statements differ only in theirs, and then one numbering.

Colour refinement tells names apart by where they occur, whatever they are called and in which
order the statements stand (Weisfeiler and Leman, 1968; cf. McKay and Piperno, arXiv 1301.1493).
Statements are then sorted by their colours as far as their reads and writes allow, and names are
numbered as they appear. Colours only choose among legal orders, so a collision can make one
program two and never two programs one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import lru_cache
from zlib import crc32

from move37.memory.programs.effects import Effects
from move37.memory.programs.naming import Entity
from move37.memory.programs.scopes import Function

BLOCKS = ("body", "orelse", "finalbody")
ROUNDS = 8
MASK = (1 << 61) - 1

Colour = Callable[[str], int]
Part = tuple[str, object]


def arrange(tree: ast.Module) -> ast.Module:
    """Sort the statements of a tree with entities in place, and number the entities."""
    return _Arranger(tree).arranged()


def _mix(left: int, right: int) -> int:
    mixed = (left * 0x9E3779B97F4A7C15 + right * 0xC2B2AE3D27D4EB4F + 0x165667B19E3779F9) & MASK
    return (mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9 & MASK


@lru_cache(maxsize=4096)
def _word(text: str) -> int:
    return crc32(text.encode(errors="surrogatepass"))


class _Node:
    """A node for colouring: a label, entities and children in order, and blocks without one."""

    __slots__ = ("blocks", "inside", "label", "parts")

    def __init__(self, node: ast.AST) -> None:
        self.label = _word(type(node).__name__)
        self.parts: list[str | _Node] = []
        self.blocks: list[list[_Node]] = []
        self.inside = 0
        for name, value in ast.iter_fields(node):
            if name in BLOCKS and isinstance(value, list):
                self.blocks.append([_Node(one) for one in value])
            else:
                for one in value if isinstance(value, list) else (value,):
                    self._add(one)

    def _add(self, value: object) -> None:
        if isinstance(value, ast.AST):
            self.parts.append(_Node(value))
        elif isinstance(value, Entity):
            self.parts.append(value)
        else:
            self.label = _mix(self.label, _word(f"{type(value).__name__} {value!r}"))

    def colour(self, colours: dict[str, int]) -> int:
        """Compute and keep the colour of what stands inside."""
        total = self.label
        for part in self.parts:
            total = _mix(total, part.colour(colours) if isinstance(part, _Node) else colours[part])
        for block in self.blocks:
            total = _mix(total, sum(_mix(7, one.colour(colours)) for one in block) & MASK)
        self.inside = total
        return total

    def spread(self, outside: int, seen: dict[str, int]) -> None:
        """Add to each entity the colour of each place where it occurs."""
        here = _mix(outside, self.inside)
        for place, part in enumerate(self.parts):
            there = _mix(here, place)
            if isinstance(part, _Node):
                part.spread(there, seen)
            else:
                seen[part] = (seen[part] + _mix(3, there)) & MASK
        for place, block in enumerate(self.blocks):
            for one in block:
                one.spread(_mix(here, -1 - place), seen)


def _entities(tree: ast.AST) -> set[str]:
    return {
        value
        for node in ast.walk(tree)
        for _, field in ast.iter_fields(node)
        for value in (field if isinstance(field, list) else (field,))
        if isinstance(value, Entity)
    }


def _refined(root: _Node, names: set[str]) -> dict[str, int]:
    """Colour the entities by their places until no round tells more of them apart."""
    colours = dict.fromkeys(names, 1)
    kinds = 0
    for _ in range(ROUNDS):
        if len(set(colours.values())) == kinds:
            break
        kinds = len(set(colours.values()))
        root.colour(colours)
        seen = dict.fromkeys(names, 0)
        root.spread(1, seen)
        colours = {name: _mix(colours[name], seen[name]) for name in names}
    root.colour(colours)
    return colours


class _Arranger:
    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._effects = Effects(tree)
        self._root = _Node(tree)
        self._colours = _refined(self._root, _entities(tree))
        self._numbers: dict[str, int] = {}
        self._functions_around = 0

    def arranged(self) -> ast.Module:
        self._walk(self._tree, self._root)
        return self._tree

    def _walk(self, node: ast.AST, coloured: _Node) -> None:
        """Sort and number below a node, in the order in which it is written."""
        self._functions_around += isinstance(node, Function)
        nodes = iter([part for part in coloured.parts if isinstance(part, _Node)])
        blocks = iter(coloured.blocks)
        for name, value in ast.iter_fields(node):
            if name in BLOCKS and isinstance(value, list):
                setattr(node, name, self._sorted(value, next(blocks)))
                continue
            many = isinstance(value, list)
            new: list[object] = []
            for one in value if many else (value,):
                if isinstance(one, ast.AST):
                    self._walk(one, next(nodes))
                new.append(self._numbered(one) if isinstance(one, Entity) else one)
            setattr(node, name, new if many else new[0])
        self._functions_around -= isinstance(node, Function)

    def _numbered(self, name: Entity) -> str:
        return Entity(f"%{self._numbers.setdefault(name, len(self._numbers))}")

    def _sorted(self, block: list[ast.stmt], coloured: list[_Node]) -> list[ast.stmt]:
        effects = [self._effects.of(one, not self._functions_around) for one in block]
        before = [
            {i for i in range(j) if effects[i].precedes(effects[j])} for j in range(len(block))
        ]
        left = list(range(len(block)))
        order: list[ast.stmt] = []
        while left:
            ready = [one for one in left if before[one].isdisjoint(left)]
            least = min(coloured[one].inside for one in ready)
            alike = [one for one in ready if coloured[one].inside == least]
            chosen = alike[0] if len(alike) == 1 else min(alike, key=self._told(coloured))
            left.remove(chosen)
            self._walk(block[chosen], coloured[chosen])
            order.append(block[chosen])
        return order

    def _told(self, coloured: list[_Node]) -> Callable[[int], int]:
        """Tell equals apart by the numbers that their names already have."""
        known = {name: _mix(11, number) for name, number in self._numbers.items()}
        colours = self._colours | known

        def key(one: int) -> int:
            kept = coloured[one].inside
            told = coloured[one].colour(colours)
            coloured[one].inside = kept
            return told

        return key
