"""Planted faults: one small correct mixer, and what breaks it, each with the gates that see it."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = """
import torch
import torch.nn.functional as F
from torch import nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size)
        self.gate = nn.Linear(hidden_size, hidden_size)
        self.last = nn.Parameter(torch.zeros(1))
        self.steps = 0
        self.register_buffer("calls", torch.zeros(1))
{init}
    def forward(self, x, state=None{arguments}):
        v = self.value(x)
        start = v.new_zeros(v.shape[0], 1, v.shape[2]) if state is None else state[:, -1:]
        before = torch.cat([start, v[:, :-1]], 1)
        sums = v + before * torch.sigmoid(self.gate(x))
{body}
"""


@dataclass(frozen=True)
class Fault:
    """What is changed in the correct mixer, and exactly which gates fail then."""

    body: str
    gates: str
    init: str = ""
    arguments: str = ""

    @property
    def source(self) -> str:
        """The file."""
        lines = {name: _indented(getattr(self, name)) for name in ("init", "body")}
        return HEAD.format(arguments=self.arguments, **lines)


def _indented(text: str) -> str:
    return "\n".join(f"        {line}" for line in text.splitlines())


CLEAN = Fault("return sums, v[:, -1:]", "")

FAULTS = {
    "future mean": Fault("return sums + v.mean(1, keepdim=True), v[:, -1:]", "G1 G2 G3 G4 G10"),
    "centred convolution": Fault(
        "y = sums + F.avg_pool1d(v.mT, 3, 1, 1).mT\nreturn y, v[:, -1:]", "G1 G2 G3 G4 G10"
    ),
    "leak in train mode only, which no gradient shows": Fault(
        "y = sums + v.detach().round().flip(1) if self.training else sums\nreturn y, v[:, -1:]",
        "G1 G4 G16",
    ),
    "leak at large inputs only": Fault(
        "loud = (x.abs().amax((1, 2), keepdim=True) > 10).to(x.dtype)\n"
        "return sums * (1 + loud), v[:, -1:]",
        "G1 G4",
    ),
    "leak at long lengths only": Fault(
        "y = sums + v.flip(1) if x.shape[1] > 600 else sums\nreturn y, v[:, -1:]", "G1"
    ),
    "leak across a chunk edge": Fault(
        "chunk = F.pad(v, (0, 0, 0, -v.shape[1] % 64)).unflatten(1, (-1, 64))\n"
        "summary = chunk.mean(2).repeat_interleave(64, 1)[:, : v.shape[1]]\n"
        "return sums + summary, v[:, -1:]",
        "G1 G2 G3 G4 G10",
    ),
    "a leak below rounding in single precision": Fault(
        "return sums + 1e-11 * v.flip(1), v[:, -1:]", "G2 G4"
    ),
    "scaled by the total length": Fault("return sums / x.shape[1], v[:, -1:]", "G3 G4 G10"),
    "leak behind a gate that starts at zero": Fault(
        "return sums + self.last * v.flip(1), v[:, -1:]", "G4 G10"
    ),
    "batch statistics": Fault("return sums - sums.mean(0, keepdim=True), v[:, -1:]", "G1 G2 G4 G7"),
    "batch statistics in train mode": Fault(
        "y = sums - sums.mean(0, keepdim=True) if self.training else sums\nreturn y, v[:, -1:]",
        "G1 G2 G4 G7 G16",
    ),
    "a call counter": Fault("self.calls += 1\nreturn sums * self.calls, v[:, -1:]", "G8"),
    "randomness at eval": Fault(
        "return sums + torch.rand(()) * torch.randint(1, 9, ()), v[:, -1:]", "G8 G10"
    ),
    "remembers the last batch": Fault(
        "y = sums + getattr(self, 'kept', 0)\nself.kept = float(v.sum())\nreturn y, v[:, -1:]",
        "G8 G16 G18",
    ),
    "writes into its input": Fault(
        "with torch.no_grad():\n    x.data.mul_(2)\nreturn sums, v[:, -1:]", "G8"
    ),
    "a mask that is ignored": Fault(
        "return sums.cumsum(1) * 0 + sums, v[:, -1:]", "G9", arguments=", attention_mask=None"
    ),
    "no state": Fault("return sums, None", "G10"),
    "state of the wrong token": Fault("return sums, v[:, :1]", "G10"),
    "state kept in the module": Fault(
        "if state is not None:\n"
        "    sums = sums + (self.kept - v[:, :1]) * 0.1\n"
        "self.kept = v[:, -1:].detach()\n"
        "return sums, v[:, -1:]",
        "G10",
    ),
    "unused parameters": Fault(
        "return sums, v[:, -1:]", "G11", init="self.spare = nn.Linear(hidden_size, 9)"
    ),
    "NaN at a zero input": Fault(
        "return sums + F.normalize(x, dim=-1, eps=0.0)[..., :1], v[:, -1:]", "G12"
    ),
    "NaN at large inputs": Fault(
        "return sums + x.exp().sum(-1, keepdim=True).log(), v[:, -1:]", "G12"
    ),
    "another dtype": Fault("return sums.double(), v[:, -1:]", "G12 G16"),
    "quadratic work": Fault(
        "mask = torch.ones(x.shape[1], x.shape[1], dtype=x.dtype).tril()\n"
        "mask = mask.triu()\nreturn sums + 0.1 * (mask @ v), v[:, -1:]",
        "G13",
    ),
    "quadratic time that no counter sees": Fault(
        "sum(range(5 * x.shape[1] ** 2))\nreturn sums, v[:, -1:]", "G13"
    ),
    "a growing state": Fault(
        "past = v[:, :0] if state is None else state\nreturn sums, torch.cat([past, v], 1)", "G14"
    ),
    "a large state": Fault("return sums, v[:, -1:].repeat(1, 99, 1)", "G14"),
    "parameters twice the budget": Fault(
        "return sums + self.up(x) @ self.up.weight, v[:, -1:]",
        "G15",
        init="self.up = nn.Linear(hidden_size, 9 * hidden_size, bias=False)",
    ),
    "frozen output": Fault(
        "return torch.zeros_like(x) + 0 * sums + self.last, v[:, -1:]", "G11 G16"
    ),
    "no mixing": Fault("return v * torch.sigmoid(self.gate(x)), v[:, -1:]", "G16"),
    "a projection that is not saved": Fault(
        "return sums @ self.basis, v[:, -1:]",
        "G18",
        init="self.basis = torch.randn(hidden_size, hidden_size) / hidden_size**0.5",
    ),
    "a counter that is not saved": Fault(
        "if self.training:\n    self.steps += 1\nreturn sums / (1 + self.steps), v[:, -1:]",
        "G16 G18",
    ),
    "a leak after a thousand steps": Fault(
        "if self.training:\n    self.calls += 1\n"
        "y = sums + v.flip(1) if self.calls > 1000 else sums\nreturn y, v[:, -1:]",
        "G18",
    ),
}
