"""Programs made from programs: the same under other names, orders and words, and near ones.

What claims to compute the same is checked by running both on the same weights, so the labels owe
nothing to the code that is measured with them.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from typing import Any

import torch

from move37.memory.programs.naming import words

HIDDEN, HEADS, CUT = 32, 2, 11
INPUT = torch.randn(2, 19, HIDDEN, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
CONTRACT = words("self TokenMixer forward backward large_state hidden_size num_heads layer_idx")
BLOCKS = ("body", "orelse")
MODULES = ("torch", "F", "nn")
# What a mechanism may be swapped for, shape for shape.
SWAPS = {
    "sigmoid": "torch.tanh",
    "tanh": "torch.sigmoid",
    "silu": "torch.sigmoid",
    "softplus": "torch.relu",
    "elu": "torch.relu",
    "relu": "torch.tanh",
    "exp": "torch.sigmoid",
    "l2norm": "torch.tanh",
    "elu1": "torch.sigmoid",
    "cumsum": "torch.cumprod",
    "RMSNorm": "torch.nn.LayerNorm",
    "chunk_delta_rule": "chunk_linear_attn",
    "chunk_simple_gla": "chunk_gated_delta_rule",
}
REMARKS = ("# tuned by hand", "# see the notes", "# as before", "# keeps the shape")


# --- the same program ---------------------------------------------------------------------------


def renamed(code: str, rng: random.Random) -> str:
    """Give other names to variables, attributes, methods, helper functions and classes."""
    tree = ast.parse(code)
    nodes = list(ast.walk(tree))
    taken = CONTRACT | {word.arg for word in nodes if isinstance(word, ast.keyword) and word.arg}
    taken |= {_bound_as(alias) for node in nodes for alias in getattr(node, "names", ())}
    taken |= {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) != "self"
    }
    taken |= {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    names = [name for name in _chosen(nodes) if name not in taken and not name.startswith("__")]
    tags = rng.sample(range(100, 999), len(names))
    new = {name: f"{rng.choice('abkmw')}{tag}" for name, tag in zip(names, tags, strict=True)}
    for node in nodes:
        match node:
            case ast.Name(id=name):
                node.id = new.get(name, name)
            case ast.arg(arg=name):
                node.arg = new.get(name, name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                node.name = new.get(name, name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                node.attr = new.get(name, name)
            case _:
                pass
    return _remarked(ast.unparse(tree), rng)


def _bound_as(alias: object) -> str:
    return (alias.asname or alias.name).split(".")[0] if isinstance(alias, ast.alias) else ""


def _chosen(nodes: list[ast.AST]) -> list[str]:
    names: list[str] = []
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                names.append(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.append(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                names.append(name)
            case _:
                pass
    return list(dict.fromkeys(names))


def _remarked(code: str, rng: random.Random) -> str:
    lines = (
        f"{line}  {rng.choice(REMARKS)}" if line and rng.random() < 0.2 else line
        for line in code.splitlines()
        if not line.lstrip().startswith(('"""', "'''"))
    )
    text = "\n".join(lines)
    # A remark inside a text of several lines would change the text.
    return text if _parses(text) else code


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def reordered(code: str, rng: random.Random, swaps: int = 4, tries: int = 40) -> str | None:
    """Swap neighbouring statements as long as the program computes the same; None if none do."""
    original = run(code)
    if original is None:
        return None
    done = 0
    for _ in range(tries):
        tree = ast.parse(code)
        blocks = [block for block in _blocks(tree) if len(block) > 1]
        block = rng.choice(blocks)
        at = rng.randrange(len(block) - 1)
        if not _movable(block[at]) or not _movable(block[at + 1]):
            continue
        block[at], block[at + 1] = block[at + 1], block[at]
        swapped = ast.unparse(tree)
        if same_function(original, run(swapped, original[0])):
            code, done = swapped, done + 1
        if done == swaps:
            break
    return code if done else None


def swapped_neighbours(code: str) -> Iterator[str]:
    """Yield the program with each two neighbouring statements swapped, sound or not."""
    count = sum(max(0, len(block) - 1) for block in _blocks(ast.parse(code)))
    for wanted in range(count):
        tree = ast.parse(code)
        places = [(block, at) for block in _blocks(tree) for at in range(len(block) - 1)]
        block, at = places[wanted]
        if not _movable(block[at]) or not _movable(block[at + 1]):
            continue
        block[at], block[at + 1] = block[at + 1], block[at]
        yield ast.unparse(tree)


def _blocks(tree: ast.AST) -> list[list[ast.stmt]]:
    found = (getattr(node, name, None) for node in ast.walk(tree) for name in BLOCKS)
    return [block for block in found if isinstance(block, list)]


def _movable(statement: ast.stmt) -> bool:
    """Whether moving it is a change at all: imports and texts are nothing to the design."""
    return not isinstance(statement, ast.Import | ast.ImportFrom | ast.Expr)


def reworded(code: str, rng: random.Random) -> str | None:
    """Say the same otherwise: temporaries for inner calls, methods for functions; None if not."""
    original = run(code)
    tree = _Reworded(rng).visit(ast.parse(code))
    new = ast.unparse(ast.fix_missing_locations(tree))
    if new == ast.unparse(ast.parse(code)):
        return None
    return new if original and same_function(original, run(new, original[0])) else None


class _Reworded(ast.NodeTransformer):
    METHODS = words("sigmoid tanh exp cumsum softmax relu")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._count = 0

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.AST]:
        self.generic_visit(node)
        return [*self._drawn_out(node.value), node]

    def visit_Return(self, node: ast.Return) -> ast.AST | list[ast.AST]:
        self.generic_visit(node)
        return [*self._drawn_out(node.value), node] if node.value else node

    def _drawn_out(self, value: ast.expr) -> list[ast.AST]:
        if not isinstance(value, ast.Call):
            return []
        before: list[ast.AST] = []
        for place, argument in enumerate(value.args):
            if isinstance(argument, ast.Call) and self._rng.random() < 0.8:
                self._count += 1
                name = f"part_{self._count}"
                before.append(ast.Assign([ast.Name(name, ast.Store())], argument, lineno=0))
                value.args[place] = ast.Name(name, ast.Load())
        return before

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node.func:
            case ast.Attribute(value=ast.Name(id="torch"), attr=name) if name in self.METHODS:
                first, *rest = node.args
                return ast.Call(ast.Attribute(first, name, ast.Load()), rest, node.keywords)
            case _:
                return node


# --- nearly the same ----------------------------------------------------------------------------


def other_numbers(code: str, rng: random.Random) -> tuple[str, float] | None:
    """Change up to three numbers; return one of the new ones too, or None without numbers."""
    tree = ast.parse(code)
    numbers = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value
    ]
    changed = 0.0
    for node in rng.sample(numbers, min(3, len(numbers))):
        assert isinstance(node.value, int | float)
        node.value = node.value * 3 + 1
        changed = node.value
    return (ast.unparse(tree), changed) if numbers else None


def other_mechanism(code: str, rng: random.Random) -> tuple[str, str, str] | None:
    """Swap one mechanism at one place; return the program, the old name and the new."""
    tree = ast.parse(code)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    places = [(call, SWAPS[name]) for call in calls if (name := _called(call)) in SWAPS]
    if not places:
        return None
    call, new = rng.choice(places)
    old = _called(call)
    call.func = ast.parse(new, mode="eval").body
    return ast.unparse(tree), old, new.rpartition(".")[2]


def _called(call: ast.Call) -> str:
    """Return the name of a function that is called, without that of its module."""
    is_method = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) not in MODULES
    return "" if is_method else ast.unparse(call.func).rpartition(".")[2]


# --- running ------------------------------------------------------------------------------------

Ran = tuple[dict[str, torch.Tensor], tuple[torch.Tensor, ...]]


def run(code: str, weights: dict[str, torch.Tensor] | None = None) -> Ran | None:
    """Return weights, and answers and gradients on one input; None when it cannot run.

    The input is read in one go, and in two parts with the state between them. Ours, so it runs in
    this process.
    """
    torch.manual_seed(0)
    space: dict[str, Any] = {"__name__": "candidate"}
    try:
        exec(compile(code, "candidate.py", "exec"), space)
        mixer = space["TokenMixer"](HIDDEN, HEADS).double()
        return _weighted(mixer, weights), _answers(mixer)
    except (RuntimeError, TypeError, ValueError, NameError, AttributeError, LookupError):
        return None


def _weighted(
    mixer: torch.nn.Module, weights: dict[str, torch.Tensor] | None
) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        if weights is not None:
            mixer.load_state_dict(weights)
        else:
            # What starts at zero or one would hide that a step is missing.
            for weight in mixer.parameters():
                weight.add_(torch.randn_like(weight), alpha=0.1)
    return {key: value.clone() for key, value in mixer.state_dict().items()}


def _answers(mixer: torch.nn.Module) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    y, _ = mixer(INPUT.clone())
    y.square().sum().backward()
    gradients = (one.grad for _, one in sorted(mixer.named_parameters()) if one.grad is not None)
    mixer.eval()
    with torch.no_grad():
        first, state = mixer(INPUT[:, :CUT].clone())
        rest, _ = mixer(INPUT[:, CUT:].clone(), state)
    return (y.detach(), *gradients, first, rest)


def same_function(one: Ran | None, other: Ran | None) -> bool:
    """Whether both ran, have the same weights, and gave the same answers and gradients."""
    if one is None or other is None or one[0].keys() != other[0].keys():
        return False
    if len(one[1]) != len(other[1]):
        return False
    pairs = [(value, other[0][key]) for key, value in one[0].items()]
    pairs += zip(one[1], other[1], strict=True)
    return all(a.shape == b.shape and _close(a, b) for a, b in pairs)


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    # Gradients of a value that is used twice are summed in the order of the text.
    if one.is_floating_point():
        return torch.allclose(one, other, rtol=1e-9, atol=1e-12)
    return torch.equal(one, other)
