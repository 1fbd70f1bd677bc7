"""Programs that differ in nothing that counts have one mark, and all others have another."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from move37.agents.offline import grammar
from move37.arch_templates.catalog import template_source
from move37.memory.programs.fingerprint import fingerprint, new_numbers, outline
from move37.memory.programs.structure import features
from tests.memory import variants

OPERATIONS = ("torch.tanh({})", "torch.exp({})", "{} + {}", "{} - {}", "self.first({})", "{} * 2.0")
HEAD = """
import torch
from torch import nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
{made}

    def forward(self, x, state=None):
{steps}
"""


@dataclass(frozen=True)
class Flow:
    """A straight program: each step an operation on earlier values; value 0 is the input."""

    steps: tuple[tuple[str, tuple[int, ...]], ...]

    def code(self, rng: random.Random | None = None) -> str:
        """Write it down; with a generator under drawn names, in a drawn order."""
        names = ["x", *(f"v{i}" for i in range(1, len(self.steps) + 1))]
        made = ["self.first = nn.Linear(hidden_size, hidden_size)", "self.size = hidden_size // 2"]
        order = list(range(1, len(self.steps) + 1))
        if rng:
            names = ["x", *rng.sample([f"{c}{i}" for c in "kpz" for i in range(40)], len(order))]
            rng.shuffle(made)
            order = self._drawn(rng)
        lines = [
            f"{names[i]} = {self.steps[i - 1][0].format(*(names[j] for j in self.steps[i - 1][1]))}"
            for i in order
        ]
        lines.append(f"return {' + '.join(names[1:])}, state")
        text = HEAD.format(
            made="\n".join(f"        {line}" for line in made),
            steps="\n".join(f"        {line}" for line in lines),
        )
        return text.replace("self.first", "self.other") if rng else text

    def _drawn(self, rng: random.Random) -> list[int]:
        left, order = list(range(1, len(self.steps) + 1)), [0]
        while left:
            ready = [i for i in left if set(self.steps[i - 1][1]) <= set(order)]
            order.append(rng.choice(ready))
            left.remove(order[-1])
        return order[1:]


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    steps = []
    for place in range(1, draw(st.integers(2, 9)) + 1):
        operation = draw(st.sampled_from(OPERATIONS))
        inputs = st.integers(0, place - 1)
        operands = tuple(draw(inputs) for _ in range(operation.count("{}")))
        steps.append((operation, operands))
    return Flow(tuple(steps))


@given(flows(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_names_and_legal_orders_do_not_make_another_program(flow: Flow, rng: random.Random) -> None:
    assert fingerprint(flow.code(rng)) == fingerprint(flow.code())
    assert features(flow.code(rng)) == features(flow.code())


@given(flows(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_a_swapped_operation_makes_another_program(flow: Flow, rng: random.Random) -> None:
    place = rng.randrange(len(flow.steps))
    operation, operands = flow.steps[place]
    others = [one for one in OPERATIONS if one.count("{}") == len(operands) and one != operation]
    steps = list(flow.steps)
    steps[place] = (rng.choice(others), operands)
    changed = replace(flow, steps=tuple(steps))
    assert fingerprint(changed.code(rng)) != fingerprint(flow.code())
    assert outline(changed.code(rng)) != outline(flow.code())
    assert features(changed.code()) != features(flow.code())


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_designs_of_the_grammar_keep_their_mark_under_other_names(seed: int) -> None:
    rng = random.Random(seed)
    code = grammar.render(grammar.sample(rng), "Design", "Why.")
    other = variants.renamed(code, rng)
    assert fingerprint(other) == fingerprint(code)
    assert features(other) == features(code)


@pytest.mark.parametrize("name", ["delta_net", "hybrid", "rwkv7"])
def test_one_mark_means_one_function_whichever_statements_are_swapped(name: str) -> None:
    code = template_source(name)
    original = variants.run(code)
    assert original is not None
    same = [
        one for one in variants.swapped_neighbours(code) if fingerprint(one) == fingerprint(code)
    ]
    assert len(same) > 5
    for one in same:
        assert variants.same_function(original, variants.run(one, original[0]))
        assert features(one) == features(code)


def _forward(*lines: str) -> str:
    return HEAD.format(made="        pass", steps="\n".join(f"        {line}" for line in lines))


@pytest.mark.parametrize(
    "lines",
    [
        ("y = x.view(-1)", "x.mul_(2.0)", "z = y + 1.0", "return z, state"),
        ("y = torch.zeros_like(x)", "y[:, 0] = x[:, 0]", "z = y.sum()", "return z, state"),
        ("y = x", "y += 1.0", "z = x * 3.0", "return z, state"),
        ("y = []", "y.append(x)", "z = torch.cat(y)", "return z, state"),
        ("f = lambda: x", "x = x + 1.0", "z = f()", "return z, state"),
        ("y = torch.tanh(x)", "nn.init.zeros_(x)", "z = x * 2.0", "return z, state"),
        ("y = torch.exp(x, out=x)", "z = x * 2.0", "w = z + y", "return w, state"),
        ("self.seen = x", "y = self.seen * 2.0", "self.seen = y", "return y, state"),
    ],
)
def test_statements_around_a_change_in_place_stay_where_they_are(lines: tuple[str, ...]) -> None:
    first, second, *rest = lines
    assert fingerprint(_forward(second, first, *rest)) != fingerprint(_forward(*lines))
    first, second, third, last = lines
    assert fingerprint(_forward(first, third, second, last)) != fingerprint(_forward(*lines))


def test_entries_of_a_new_dictionary_are_places_of_their_own() -> None:
    one = ("new = {}", 'new["a"] = torch.tanh(x)', 'new["b"] = torch.exp(x)', "return x, new")
    other = (one[0], one[2], one[1], one[3])
    assert fingerprint(_forward(*one)) == fingerprint(_forward(*other))
    twice = tuple(line.replace('"b"', '"a"') for line in one)
    assert fingerprint(_forward(*twice)) != fingerprint(
        _forward(twice[0], twice[2], twice[1], twice[3])
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # which function is called by keyword with what
        (
            "def f(a, b):\n return a - b\ny = f(a=1, b=2)",
            "def f(b, a):\n return b - a\ny = f(a=1, b=2)",
        ),
        # which class is the mixer
        (
            "class TokenMixer:\n a = 1\nclass B:\n b = 2",
            "class B:\n a = 1\nclass TokenMixer:\n b = 2",
        ),
        # which method is called from outside
        (
            "class A:\n def forward(self):\n  return 1\n def g(self):\n  return 2",
            "class A:\n def g(self):\n  return 1\n def forward(self):\n  return 2",
        ),
        # an outer name where an inner function has the same
        (
            "c = 2\nd = 3\ndef f():\n def g(c):\n  return c\n return g(c) + d",
            "c = 3\nd = 2\ndef f():\n def g(d):\n  return d\n return g(c) - d",
        ),
    ],
)
def test_names_that_are_read_from_elsewhere_count(one: str, other: str) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_aliases_of_types_and_unread_imports_do_not_count() -> None:
    plain = "def f(x):\n    return x + 1\n"
    told = "from typing import Any\nState = dict[str, Any]\ndef f(x: State) -> State: return x + 1"
    assert fingerprint(told) == fingerprint(plain)


def test_the_outline_is_blind_to_numbers_and_to_nothing_else() -> None:
    code = template_source("delta_net")
    other = code.replace("kernel_size=4", "kernel_size=8")
    assert outline(other) == outline(code)
    assert fingerprint(other) != fingerprint(code)
    assert new_numbers(other, code) == (8.0,)
    assert outline(code.replace("bias=False", "bias=True")) != outline(code)
    assert outline(code.replace('"silu"', '"relu"')) != outline(code)
