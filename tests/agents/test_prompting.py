"""Prompts are documents; a name that is missing on either side is an error."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from move37.agents.briefs import Brief
from move37.agents.prompting import fill, message, role_of, system_prompt
from move37.arch_templates.catalog import op_names
from move37.records import Cognition, Lesson
from move37.settings import ROLES
from tests.agents.scripted import (
    FAILED,
    LESSON,
    NOISE,
    analyst_brief,
    engineer_brief,
    forecast_brief,
    judge_brief,
    measured,
    research_brief,
)

BRIEFS: list[Brief] = [
    research_brief(),
    engineer_brief(),
    forecast_brief({"+learned-decay": (0.01, 0.03)}),
    judge_brief(measured()),
    analyst_brief(measured()),
    analyst_brief(FAILED),
]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_a_system_prompt_that_marks_untrusted_text(role: str) -> None:
    assert "<untrusted>" in system_prompt(role)
    assert "$" not in system_prompt(role)


@pytest.mark.parametrize("brief", BRIEFS, ids=lambda brief: type(brief).__name__)
def test_a_brief_fills_its_document_and_comes_back_from_its_data(brief: Brief) -> None:
    sent = message(brief)
    assert "class TokenMixer" in sent.text
    context = sent.additional_kwargs["move37"]
    assert context["role"] == role_of(brief)
    assert type(brief).model_validate(context["brief"]) == brief


def test_the_judge_is_told_what_earlier_changes_gained_and_turns_the_evidence() -> None:
    brief = forecast_brief({"+learned-decay": (0.01, 0.03)})
    first = message(brief).text
    turned = message(brief.model_copy(update={"scoring": 1})).text
    assert "- +learned-decay: mean +0.0200 nats in 2" in first
    assert "- -short-convolution: not tried" in first
    assert "2.3100 ± 0.0100" in first
    assert sorted(first.splitlines()) == sorted(turned.splitlines())
    assert first.index("## Design") < first.index("## Code")
    assert turned.index("## Code") < turned.index("## Design")


def test_a_missing_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="code"):
        fill("engineer", {"number": "1", "round": "1", "proposal": "", "failure": ""})


def test_a_value_that_no_document_names_is_an_error() -> None:
    values = dict.fromkeys(("number", "round", "proposal", "failure", "code", "mood"), "")
    with pytest.raises(KeyError, match="mood"):
        fill("engineer", values)


def test_the_researcher_is_told_every_op_as_it_is_called_and_none_by_hand() -> None:
    listed = message(research_brief()).text.split("## Ops\n")[1].split("\n\n")[0].splitlines()
    names = [line.split("`")[1].split("(")[0] for line in listed]
    assert names == sorted(op_names())
    assert "- `token_shift(x, state=None) -> tuple[Tensor, Tensor]`: Return x [B, T, D] one" in (
        "\n".join(listed)
    )
    document = files("move37.agents").joinpath("prompts", "researcher.md").read_text("utf-8")
    assert not op_names() & set(re.findall(r"\w+", document))


def test_dollar_signs_in_code_and_papers_are_only_text() -> None:
    paper = Cognition(**{**LESSON.model_dump(), "scenario": "cost of $number and ${code}"})
    brief = research_brief().model_copy(update={"cognition": (paper,)})
    assert "cost of $number and ${code}" in message(brief).text


def test_the_researcher_is_told_noise_lessons_refusals_and_payoffs() -> None:
    brief = research_brief().model_copy(
        update={
            "lessons": (Lesson(id="lesson-2.1", text="Decay helps.", experiment=2),),
            "refused": ("repeats experiment 1",),
            "payoffs": {"learned-decay": 0.1, "token-shift": -0.2},
            "noise": NOISE,
        }
    )
    text = message(brief).text
    assert "text: mean 2.3100, SD 0.0200 over 5 seeds" in text
    assert "[lesson-2.1] experiment 2 (no tag changed: unclear), 0 later for it" in text
    assert "0 against: Decay helps." in text
    assert "repeats experiment 1" in text
    assert text.index("learned-decay: +0.1000") < text.index("token-shift: -0.2000")
