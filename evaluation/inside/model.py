"""The language model around a token mixer: everything that is the same for every candidate."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from move37.arch_templates.contract import build_mixer
from move37.arch_templates.ops import RMSNorm
from move37.records import Value

# One state of the mixer for each layer.
States = list[object]


class ModelShape(Value):
    """Size of the model around the mixer; `expansion` is the width of the MLP over `hidden`."""

    vocabulary: int
    layers: int
    hidden: int
    heads: int
    expansion: float = 2.0


class Block(nn.Module):
    """Pre-norm residual block: token mixer, then a squared-ReLU MLP (Primer, 2109.08668)."""

    def __init__(self, mixer: nn.Module, hidden: int, expansion: float) -> None:
        super().__init__()
        self.mixer = mixer
        self.mixer_norm = RMSNorm(hidden)
        self.mlp_norm = RMSNorm(hidden)
        self.up = nn.Linear(hidden, int(hidden * expansion), bias=False)
        self.down = nn.Linear(int(hidden * expansion), hidden, bias=False)

    def forward(self, x: Tensor, state: object = None) -> tuple[Tensor, object]:
        """Map [B, T, D] and the mixer's state to [B, T, D] and the state after it."""
        mixed, state = self.mixer(self.mixer_norm(x), state)
        if mixed.shape != x.shape:
            raise ValueError(
                f"forward returned y of shape {list(mixed.shape)}, expected {list(x.shape)}"
            )
        x = x + mixed
        wide = F.relu(self.up(self.mlp_norm(x))).square()
        return torch.add(x, self.down(wide)), state


class LanguageModel(nn.Module):
    """Token ids [B, T] to logits [B, T, V], with tied embeddings.

    Each part is initialised from a seed of its own, so that everything but the mixers starts out
    identical for a candidate and its baseline.
    """

    def __init__(self, source: str, shape: ModelShape, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(shape.vocabulary, shape.hidden)
        nn.init.normal_(self.embedding.weight, std=shape.hidden**-0.5)
        blocks = []
        for index in range(shape.layers):
            torch.manual_seed(seed * 1009 + 2 * index + 1)
            mixer = build_mixer(source, shape.hidden, shape.heads, index)
            torch.manual_seed(seed * 1009 + 2 * index + 2)
            blocks.append(Block(mixer, shape.hidden, shape.expansion))
        self.blocks = nn.ModuleList(blocks)
        self.norm = RMSNorm(shape.hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token ids [B, T] to logits [B, T, V]."""
        return self.advance(tokens, None)[0]

    def advance(self, tokens: Tensor, states: States | None) -> tuple[Tensor, States]:
        """Go on from `states` (None: the start) by tokens [B, T]; return logits and new states."""
        x = self.embedding(tokens)
        after = []
        for index, block in enumerate(self.blocks):
            x, state = block(x, states[index] if states else None)
            after.append(state)
        return F.linear(self.norm(x), self.embedding.weight), after


def shape_of(described: dict[str, Any]) -> ModelShape:
    """Read a `ModelShape` from a request."""
    return ModelShape.model_validate(described)
