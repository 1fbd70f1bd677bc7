"""One run of one skill behind the walls."""

from __future__ import annotations

import pytest

from move37.arch_templates.catalog import template_source
from move37.evaluation.data import split_corpus
from move37.evaluation.isolation.nursery import Nursery
from move37.evaluation.skills.measure import SkillJudge
from move37.evaluation.skills.results import SkillRun
from move37.evaluation.tiers import load_tier
from move37.records import Failed

CORPUS = split_corpus("made", [bytes(range(256)) * 300])
LINEAR = """
import torch
from torch import nn

class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.proj = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, state=None):
        y = self.proj(x)
        return {}, None
"""


@pytest.fixture(scope="module")
def judge(nursery: Nursery) -> SkillJudge:
    return SkillJudge(load_tier("smoke"), CORPUS, nursery)


def test_a_run_repeats_itself_and_another_seed_does_not(judge: SkillJudge) -> None:
    source = template_source("gated_delta_net")
    first, again, other = (judge.run(source, "recall", seed) for seed in (0, 0, 1))
    assert isinstance(first, SkillRun)
    assert isinstance(again, SkillRun)
    assert isinstance(other, SkillRun)
    assert first.loss == again.loss != other.loss
    assert first.floor == 0.0
    assert {gate.id for gate in first.audit.gates} == {"G1", "G3", "G6", "G7", "G10"}
    # As many scored tokens by pairs as in all, and the loss is their mean.
    assert sum(point.tokens for point in first.capacity) == first.tokens
    mean = sum(point.loss * point.tokens for point in first.capacity) / first.tokens
    assert first.loss == pytest.approx(mean)


def test_in_context_chains_have_a_floor_above_zero(judge: SkillJudge) -> None:
    run = judge.run(template_source("linear_attention"), "markov", 0)
    assert isinstance(run, SkillRun)
    assert 0.5 < run.floor < run.chance
    assert run.loss > run.floor
    assert run.capacity == ()


def test_weights_that_look_ahead_fail_the_audit_of_a_skill(judge: SkillJudge) -> None:
    run = judge.run(LINEAR.format("y + torch.roll(x, -1, 1)"), "parity", 0)
    assert isinstance(run, Failed)
    assert run.stage == "audit"
    assert "G1" in run.reason


def test_what_a_candidate_raises_is_a_value(judge: SkillJudge) -> None:
    run = judge.run(LINEAR.format("y[:, :, :-1]"), "copy", 0)
    assert isinstance(run, Failed)
    assert run.stage == "train"
    assert "shape" in run.reason
