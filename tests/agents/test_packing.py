"""What a prompt is packed from: tokens are counted, and what is worth least gives way first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from move37.agents.ablation import Ablation
from move37.agents.briefs import AblationBrief, Brief, slot_of
from move37.agents.engineer import Repair
from move37.agents.prompts.packing import (
    PROMPT_TOKENS,
    TOOL_TOKENS,
    Form,
    Section,
    always,
    difference,
    pack,
    tokens,
)
from move37.agents.prompts.prompting import message, system_prompt
from move37.agents.researcher import Design
from move37.agents.summarizer import Summaries
from move37.memory.vocabulary import MECHANISMS
from move37.records import Analysis, Failed, Prediction, Proposal, Rubric
from move37.tools.code import CODE_LIMIT, code_tools
from move37.tools.knowledge import knowledge_tools
from move37.tools.training import training_tools
from tests.agents.realistic import (
    account,
    code_of,
    design,
    full_brief,
    summary_brief,
    words,
)
from tests.agents.scripted import (
    analyst_brief,
    bench,
    engineer_brief,
    forecast_brief,
    judge_brief,
    measured,
)


def section(*texts: str, worth: Sequence[int]) -> Section:
    return Section(tuple(Form(text, value) for text, value in zip(texts, worth, strict=True)))


def whole(brief: Brief, budget: int = PROMPT_TOKENS) -> int:
    """Return what a role is told before it has said anything, without its tools."""
    return tokens(system_prompt(slot_of(brief).role)) + tokens(message(brief, budget).text)


def described(tools: Sequence[BaseTool | type[BaseModel]]) -> int:
    return tokens(json.dumps([convert_to_openai_tool(tool) for tool in tools]))


def test_tokens_are_those_of_a_real_encoding() -> None:
    assert tokens("") == 0
    assert tokens("def forward(self, x):\n        return x") == 11
    assert 2.5 < len(code_of(400)) / tokens(code_of(400)) < 3.2
    assert 3.5 < len(words(400)) / tokens(words(400)) < 5.0


def test_what_fits_is_told_in_full() -> None:
    sections = [section("one two three", "one", worth=(1, 0)), always("four")]
    assert pack(sections, 100) == ["one two three", "four"]


def test_what_is_worth_least_gives_way_first_and_of_equal_worth_the_longest() -> None:
    long, short = "word " * 60, "word " * 20
    dear = section(long, "dear", worth=(5, 0))
    cheap = [section(text, "cheap", worth=(1, 0)) for text in (short, long, short)]
    assert pack([dear, *cheap], 170) == [long, short, "cheap", short]
    assert pack([dear, *cheap], 100) == [long, "cheap", "cheap", short]
    assert pack([dear, *cheap], 80) == [long, "cheap", "cheap", "cheap"]


def test_what_was_given_up_in_vain_comes_back() -> None:
    large = section("word " * 200, "large", worth=(2, 0))
    small = section("word " * 20, "small", worth=(1, 0))
    assert pack([large, small], 100) == ["large", "word " * 20]


def test_a_section_goes_down_step_by_step() -> None:
    steps = section("word " * 100, "word " * 50, "word " * 10, worth=(3, 2, 0))
    for budget, told in ((110, 100), (60, 50), (20, 10)):
        assert pack([steps], budget) == ["word " * told]


def test_what_must_be_told_is_told_whatever_it_costs() -> None:
    sections = [always("word " * 100), section("word " * 9, "cut", worth=(1, 0))]
    assert pack(sections, 5) == ["word " * 100, "cut"]


TEXTS = st.text(alphabet="ab \n</`é中", max_size=200)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, st.integers(1, 4)), max_size=6), st.integers(0, 400))
def test_packed_text_keeps_to_its_budget_or_is_at_its_briefest(
    told: list[tuple[str, str, int]], budget: int
) -> None:
    sections = [section(full, brief, worth=(worth, 0)) for full, brief, worth in told]
    packed = pack(sections, budget)
    within = tokens("\n\n".join(packed)) <= budget
    assert within or packed == [brief for _, brief, _ in told]
    assert all(text in (full, brief) for text, (full, brief, _) in zip(packed, told, strict=True))


def test_a_difference_longer_than_the_program_is_none() -> None:
    old = code_of(60)
    assert difference(old, code_of(60, 5), ("a", "b")) is None
    assert difference("", old, ("a", "b")) is None
    diff = difference(old, old.replace("beta", "gain", 1), ("number 1", "number 2"))
    assert diff is not None
    assert diff.startswith("--- number 1\n+++ number 2\n@@")


# --- the prompts of the roles ------------------------------------------------------------------


def test_the_researchers_prompt_with_five_experiments_of_400_lines_keeps_to_its_budget(
    tmp_path: Path,
) -> None:
    brief = full_brief()
    table = bench(tmp_path)
    tools = described([*knowledge_tools(table), *code_tools(table), Design])
    assert tools <= TOOL_TOKENS
    assert whole(brief) + tools <= PROMPT_TOKENS == 24_000
    text = message(brief).text
    # Written anew, the references would cost 6,000 tokens each.
    assert brief.selection.parent.code.strip() in text
    for one in brief.selection.references:
        assert f"Its code is left out for want of room; read_experiment {one.number}" in text
    assert text.count('source="summary"') == 5


def test_references_are_told_as_differences_where_these_fit(tmp_path: Path) -> None:
    parent, *references = (design(number) for number in range(3, 8))
    changed = [
        one.model_copy(update={"code": edited(parent.code, one.number)}) for one in references
    ]
    told = tuple(account(one.number, parent.code) for one in changed)
    brief = full_brief()
    selection = brief.selection.model_copy(update={"references": tuple(changed)})
    brief = brief.model_copy(update={"selection": selection, "accounts": told})
    text = message(brief).text
    assert whole(brief) + TOOL_TOKENS <= PROMPT_TOKENS
    assert text.count("class TokenMixer") == parent.code.count("class TokenMixer")
    for one in changed:
        assert f"--- number {one.number - 1}\n+++ number {one.number}\n" in text
        assert f"+    decay_{one.number} = 7" in text


def edited(code: str, number: int, every: int = 40) -> str:
    """Return a program in which one line in so many is another one."""
    lines = code.splitlines()
    lines[::every] = [f"    decay_{number} = {at}" for at in range(len(lines[::every]))]
    return "\n".join(lines)


def test_a_small_budget_leaves_the_code_of_the_parent_and_says_what_is_left_out() -> None:
    brief = full_brief()
    text = message(brief, 9_000).text
    assert brief.selection.parent.code.strip() in text
    assert "The rest is left out for want of room; read_experiment 7 shows it." in text
    assert "left out for want of room; search_lessons finds them" in text
    assert all(tag in text for tag in MECHANISMS)
    assert "token_shift" in text
    assert tokens(text) < 10_000


def test_the_longest_code_of_a_parent_is_told_in_full_and_little_else() -> None:
    code = code_of(4000)[:CODE_LIMIT]
    brief = full_brief()
    parent = brief.selection.parent.model_copy(update={"code": code})
    selection = brief.selection.model_copy(update={"parent": parent})
    brief = brief.model_copy(update={"selection": selection})
    assert code.strip() in message(brief).text
    assert whole(brief) < tokens(code) + 6_000
    assert "read_experiment 4 shows it" in message(brief).text


PROPOSED = Proposal(
    name="channel-decay-57",
    motivation=words(500),
    hypothesis=words(100),
    expected_gain=0.03,
    mechanisms=("delta-rule", "channel-decay"),
    code=code_of(400, 5),
)
FAULT = Failed(stage="train", reason=words(60), log=words(2000))
ROOT = code_of(65)
BRIEFS: dict[str, tuple[Brief, int]] = {
    "summarizer": (summary_brief(), 7_000),
    "engineer": (engineer_brief(PROPOSED, FAULT), 14_000),
    "forecaster": (
        forecast_brief().model_copy(update={"proposal": PROPOSED, "parent": design(3)}),
        15_500,
    ),
    "judge": (
        judge_brief(measured()).model_copy(update={"proposal": PROPOSED, "parent": design(3)}),
        16_000,
    ),
    "analyst": (
        analyst_brief(measured()).model_copy(
            update={
                "proposal": PROPOSED,
                "parent": design(3),
                "siblings": tuple(design(number) for number in range(8, 16)),
                "lessons": full_brief().lessons,
            }
        ),
        22_000,
    ),
    "ablation": (
        AblationBrief(proposal=PROPOSED, mechanism="channel-decay", root=ROOT),
        12_500,
    ),
}


@pytest.mark.parametrize("role", BRIEFS)
def test_each_role_is_told_no_more_than_it_needs_of_programs_of_400_lines(role: str) -> None:
    brief, most = BRIEFS[role]
    assert slot_of(brief).role == role
    assert most * 0.8 < whole(brief) <= most <= PROMPT_TOKENS - TOOL_TOKENS


def test_the_answers_and_tools_of_all_roles_fit_what_is_kept_free_for_them(tmp_path: Path) -> None:
    table = bench(tmp_path)
    offered: list[list[BaseTool | type[BaseModel]]] = [
        [*code_tools(table), *training_tools(table), Repair],
        [*knowledge_tools(table), Analysis],
        [*code_tools(table), Ablation],
        [Rubric],
        [Prediction],
        [Summaries],
    ]
    assert max(map(described, offered)) <= TOOL_TOKENS


@pytest.mark.parametrize("role", ["judge", "forecaster"])
def test_a_judge_short_of_room_sees_the_parent_as_a_difference(role: str) -> None:
    brief, _ = BRIEFS[role]
    child = PROPOSED.model_copy(update={"code": edited(design(3).code, 9)})
    brief = brief.model_copy(update={"proposal": child})
    text = message(brief, 13_000).text
    assert child.code.strip() in text
    assert "--- parent\n+++ design\n" in text
    assert whole(brief, 13_000) <= 13_000 - TOOL_TOKENS
