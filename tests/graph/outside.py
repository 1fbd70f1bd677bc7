"""Designs that a researcher outside may hand in."""

from __future__ import annotations

from typing import Any

from move37.arch_templates.catalog import template_source
from move37.records import CampaignConfig
from move37.settings import EXTERNAL

GOOD = template_source("gated_delta_net")
OTHER = template_source("linear_attention")
LEAKY = """
from torch import nn


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, state=None):
        v = self.value(x)
        return v - v.mean(1, keepdim=True), v[:, -1:]
"""


def idea(name: str = "gated", **more: Any) -> dict[str, Any]:
    """Return the idea of a design, as an agent or a form gives it."""
    told = {
        "name": name,
        "motivation": f"The state of {name} forgets by a learned decay, so stale pairs fade.",
        "hypothesis": "The loss of late tokens falls.",
        "expected_gain": 0.01,
        "mechanisms": ["gated-delta-rule", "perpetual-motion"],
    }
    return told | more


def config(name: str = "desk", experiments: int = 2, **more: Any) -> CampaignConfig:
    """Return a campaign whose researcher is outside, as `move37 mcp` makes it."""
    told = {"models": {"researcher": EXTERNAL}, "batch": 1, **more}
    return CampaignConfig(name=name, tier="smoke", experiments=experiments, **told)
