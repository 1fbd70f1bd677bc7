"""What a program's answer is made of, read from its text."""

from __future__ import annotations

import random

import pytest

from move37.agents.offline import grammar
from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.memory.programs.tracing.answer import answer_of
from move37.memory.programs.tracing.values import Op, operations
from tests.hostile.cases import Case, corpus

HEAD = """
import torch
from torch import nn
from torch.nn import functional as F
from einops import rearrange


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.p = nn.Linear(hidden_size, hidden_size)
        self.g = nn.Linear(hidden_size, hidden_size)
        self.w = nn.Parameter(torch.ones(hidden_size))
"""


def mixer(forward: str, init: str = "", rest: str = "") -> str:
    """Return a program with these lines in its methods."""
    body = "".join(f"        {line}\n" for line in forward.splitlines())
    more = "".join(f"        {line}\n" for line in init.splitlines())
    return f"{HEAD}{more}\n    def forward(self, x, state=None):\n{body}\n{rest}"


def labels(forward: str, init: str = "", rest: str = "") -> list[str]:
    """Return what the answer is made of, sorted, without the input."""
    found = answer_of(mixer(forward, init, rest))
    return sorted(one.label for one in found if one.label not in ("x", "state"))


def flows(code: str) -> set[tuple[str, str]]:
    """Return which operation flows into which."""
    return {(one.label, into.label) for one in answer_of(code) for into in operations(one.inputs)}


GATED = ["linear", "linear", "mul", "sigmoid"]


@pytest.mark.parametrize(
    "forward",
    [
        "return self.p(x) * torch.sigmoid(self.g(x)), state",
        "gate = self.g(x).sigmoid()\ny = self.p(x)\ny *= gate\nreturn y, None",
        "y = self.p(x)\ny.mul_(F.sigmoid(self.g(x)))\nreturn y, state",
        "return torch.mul(self.p(x).float(), nn.Sigmoid()(self.g(x))).to(x.dtype), state",
        "if x.shape[1] == 0:\n    raise ValueError\nreturn self.p(x) * self.g(x).sigmoid(), state",
        "y = [self.p(x)]\ny.append(self.g(x).sigmoid())\nreturn y[0] * y[1], state",
        "y = {'a': self.p(x)}\ny['b'] = self.g(x).sigmoid()\nreturn y['a'] * y['b'], state",
        "gate = (lambda z: z.sigmoid())(self.g(x))\nreturn gate * self.p(x), state",
        "a, b = (f(x) for f in (self.p, self.g))\nreturn a * b.sigmoid(), state",
        "a, b = map(lambda f: f(x), (self.p, self.g))\nreturn a * b.sigmoid(), state",
        "return self.p(x) * getattr(self, 'g')(x).sigmoid() + 0.0 * self.g(x), state",
        "a = rearrange(self.p(x), 'b t (h d) -> b t h d', h=2).flatten(-2)\n"
        "return a.clamp(-9, 9) * self.g(x + 1e-6).sigmoid()[:, -5:], state",
        "def mix(z, gate=None):\n    return z if gate is None else z * gate\n"
        "return mix(self.p(x), gate=self.g(x).sigmoid()), state",
    ],
)
def test_one_design_is_read_alike_in_many_words(forward: str) -> None:
    assert labels(forward) == GATED


@pytest.mark.parametrize(
    "forward",
    [
        "gate = self.g(x).sigmoid()\nreturn self.p(x), state",
        "gate = self.g(x).sigmoid()\nreturn self.p(x), (state, gate)",
        "y = self.p(x)\nif False:\n    y = y * self.g(x).sigmoid()\nreturn y, state",
        "y = self.p(x)\nif not 1:\n    y = y * self.g(x).sigmoid()\nreturn y, state",
        "y = self.p(x)\nif self.on:\n    y = y * self.g(x).sigmoid()\nreturn y, state",
        "y = self.p(x)\nif 2 < 1:\n    y = y * self.g(x).sigmoid()\nreturn y, state",
        "y = self.p(x)\nreturn (y * self.g(x).sigmoid() if self.on else y), state",
        "return self.p(x) + 0 * self.g(x).sigmoid(), state",
        "return self.p(x) + torch.zeros_like(x) * self.g(x).sigmoid(), state",
        "y = self.p(x) * self.g(x).sigmoid()\ny = self.p(x)\nreturn y, state",
        "return self.p(x), state\nreturn self.p(x) * self.g(x).sigmoid(), state",
        "assert self.g(x).sigmoid().max() < 1\nreturn self.p(x), state",
        "return self.p(x) * torch.ones_like(self.g(x).sigmoid()), state",
        "y = self.p(x)\nwhile False:\n    y = y * self.g(x).sigmoid()\nreturn y, state",
    ],
)
def test_what_does_not_reach_the_answer_is_not_there(forward: str) -> None:
    assert labels(forward, "self.on = False") == ["linear"]


def test_both_branches_of_a_test_that_may_go_either_way_are_there() -> None:
    forward = (
        "if state is None:\n    y = self.p(x)\nelse:\n    y = self.g(x).sigmoid()\nreturn y, x"
    )
    assert labels(forward) == ["linear", "linear", "sigmoid"]


def test_a_loop_over_tokens_is_seen_with_what_it_carries_and_marked() -> None:
    forward = (
        "s, out = 0.0, []\nfor t in range(x.shape[1]):\n"
        "    s = torch.tanh(s) * self.w + self.p(x)[:, t]\n    out.append(s)\n"
        "return torch.stack(out, 1), s"
    )
    code = mixer(forward)
    assert {("tanh", "add"), ("mul", "tanh"), ("add", "mul"), ("add", "linear")} <= flows(code)
    looped = {one.label for one in answer_of(code) if one.looped}
    assert looped == {"tanh", "mul", "add", "linear"}


def test_modules_and_functions_of_the_programs_own_are_entered() -> None:
    own = (
        "class Gate(nn.Module):\n    def __init__(self, size):\n        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Linear(size, 4), nn.SiLU(), nn.Linear(4, size))\n\n"
        "    def forward(self, z):\n        return scaled(self.net(z))\n\n\n"
        "def scaled(z):\n    return z.sigmoid()\n"
    )
    found = labels("return x * self.gate(x), state", "self.gate = Gate(hidden_size)", own)
    assert found == ["linear", "linear", "mul", "sigmoid", "silu"]


def test_a_gradient_rule_of_its_own_is_an_operation() -> None:
    rule = (
        "class Through(torch.autograd.Function):\n    @staticmethod\n"
        "    def forward(ctx, z):\n        return z.round()\n\n    @staticmethod\n"
        "    def backward(ctx, grad):\n        return grad\n"
    )
    assert labels("return Through.apply(x), state", rest=rule) == ["gradient", "round"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_answer_of_a_template_reaches_back_to_its_input(name: str) -> None:
    found = answer_of(template_source(name))
    assert {"x", "state", "linear"} <= {one.label for one in found}
    assert len(set(map(id, found))) == len(found)


def readable() -> list[Case]:
    return [case for case in corpus() if case.name != "constant_zeros"]


@pytest.mark.parametrize("case", readable(), ids=lambda case: case.id)
def test_hostile_wrong_and_odd_programs_are_read_as_far_as_they_go(case: Case) -> None:
    assert any(one.label == "x" for one in answer_of(case.source))


def test_every_design_of_the_grammar_is_read() -> None:
    rng = random.Random(0)
    for _ in range(60):
        found: list[Op] = answer_of(grammar.render(grammar.sample(rng), "d", "m"))
        assert any(one.label == "x" for one in found)


@pytest.mark.parametrize(
    "code", ["x = (", "x = 1", "class A:\n    pass\n", "x = " + "-" * 9000 + "1"]
)
def test_what_is_no_mixer_is_refused(code: str) -> None:
    with pytest.raises((SyntaxError, ValueError, RecursionError, MemoryError)):
        answer_of(code)
