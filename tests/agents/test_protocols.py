"""How models without tool calls are spoken to, and what of their words is read as a call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool

from move37.agents.models.protocols import action_schema, as_text, lifted
from move37.records import Rubric
from tests.agents.scripted import MARKS


@tool
def write_code(code: str) -> str:
    """Replace the whole file."""
    return code


@tool
def read_code() -> str:
    """Return the file."""
    return ""


TOOLS = [convert_to_openai_tool(one) for one in (write_code, read_code)]
ANSWER = [convert_to_openai_tool(Rubric)]
CALL = {"tool": "write_code", "arguments": {"code": "x = 1\n"}}


def read(text: str, tools: list[dict[str, Any]] = TOOLS) -> list[tuple[str, Any]]:
    """Return the calls that are read from a text."""
    return [(c["name"], c["args"]) for c in lifted(AIMessage(text), tools).tool_calls]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(CALL),
        f"I will write it.\n```json\n{json.dumps(CALL)}\n```\nDone.",
        f"```\n{json.dumps(CALL)}\n```",
        f"<tool_call>{json.dumps(CALL)}</tool_call>",
        json.dumps({"name": "write_code", "arguments": {"code": "x = 1\n"}}),
        json.dumps({"name": "write_code", "arguments": json.dumps({"code": "x = 1\n"})}),
        json.dumps({"function": {"name": "write_code", "parameters": {"code": "x = 1\n"}}}),
        json.dumps({"action": "write_code", "action_input": {"code": "x = 1\n"}}),
        json.dumps({"action": CALL}),
        json.dumps([CALL]),
        json.dumps({"tool": "write_code", "code": "x = 1\n"}),
        '{"tool": "write_code", "arguments": {"code": "x = 1\n"}}',
        f"Sure! Here it is: {json.dumps(CALL)} Is that fine?",
    ],
)
def test_a_call_that_is_written_as_text_is_read_as_one(text: str) -> None:
    assert read(text) == [("write_code", {"code": "x = 1\n"})]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would rather not.",
        "The file should hold x = 1.",
        '{"tool": "rm_rf", "arguments": {}}',
        '{"tool": "write_code", "arguments": {"code": "x = 1',
        '{"tool": "write_code", "arguments": "x = 1"}',
        json.dumps([CALL, CALL]),
        '{"code": "x = 1"}',
        "{" * 5000,
        "[" * 100_000,
        "42",
    ],
)
def test_what_is_no_call_beyond_doubt_stays_prose(text: str) -> None:
    assert read(text) == []


def test_the_only_tool_need_not_be_named() -> None:
    assert read(json.dumps(MARKS), ANSWER) == [("Rubric", MARKS)]
    assert read(json.dumps({"innovation": 5}), ANSWER) == []
    assert read(json.dumps({"tool": "Rubric", **MARKS}), ANSWER) == [("Rubric", MARKS)]


def test_a_call_of_the_provider_is_left_as_it_is() -> None:
    call = {"name": "read_code", "args": {}, "id": "1", "type": "tool_call"}
    message = AIMessage(json.dumps(CALL), tool_calls=[call])
    assert lifted(message, TOOLS) is message


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    assert isinstance(lifted(AIMessage(text), TOOLS), AIMessage)


def test_the_same_words_give_the_same_call_id() -> None:
    first, second = (lifted(AIMessage(json.dumps(CALL)), TOOLS).tool_calls[0] for _ in range(2))
    assert first == second


def test_a_conversation_with_tools_is_told_in_plain_messages() -> None:
    call = {"name": "read_code", "args": {}, "id": "1", "type": "tool_call"}
    told = as_text(
        [
            SystemMessage("You are the engineer."),
            HumanMessage("Mend it."),
            AIMessage("", tool_calls=[call]),
            ToolMessage("x = 1", tool_call_id="1", name="read_code"),
        ],
        TOOLS,
    )
    assert [type(m) for m in told] == [SystemMessage, HumanMessage, AIMessage, HumanMessage]
    assert "write_code" in told[0].text
    assert "Replace the whole file." in told[0].text
    assert json.loads(told[2].text) == {"tool": "read_code", "arguments": {}}
    assert told[3].text == "Result of read_code:\nx = 1"
    assert not any(getattr(m, "tool_calls", []) for m in told)


def test_the_schema_of_an_action_holds_what_is_read_as_one() -> None:
    schema = action_schema(TOOLS)
    kinds = schema["properties"]["action"]["anyOf"]
    assert [kind["properties"]["tool"]["const"] for kind in kinds] == ["write_code", "read_code"]
    one = action_schema(ANSWER)
    assert one["properties"]["tool"] == {"const": "Rubric"}
    assert {schema["title"], one["title"]} == {"action"}
