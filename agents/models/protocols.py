"""How a request with tools is put to a model, and how a call of a tool is read from its answer.

`tools` is the provider's own tool calling; `schema` asks for one action as JSON that the provider
holds to a schema; `text` asks for the same JSON in prose. Whatever the way, an agent sees a message
with tool calls, and what a model wrote as text is read as calls where it is one beyond doubt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call

from move37.records import content_id

Way = Literal["tools", "schema", "text"]
Tool = dict[str, Any]
ACTION = "action"
# The words under which models that write a call as text put the tool's name and its arguments.
_NAMES = ("tool", "name", "action", "function", "tool_name")
_ARGUMENTS = ("arguments", "args", "parameters", "input", "tool_input", "action_input")
_FENCED = re.compile(r"```[a-zA-Z_]*\n(.*?)```", re.DOTALL)
_TAGGED = re.compile(r"<(tool_call|function_call|answer)>(.*?)</\1>", re.DOTALL)
_HOW = """
You cannot call tools directly. Reply with one JSON object and nothing else:
{{"tool": NAME, "arguments": {{...}}}}
The result comes back as the next message. The tools, with the JSON schema of their arguments:

{tools}"""


def as_text(messages: Sequence[BaseMessage], tools: Sequence[Tool]) -> list[BaseMessage]:
    """Return the conversation without tool calls: actions and their results as plain messages."""
    how = _HOW.format(tools="\n".join(_described(tool) for tool in tools))
    told: list[BaseMessage] = []
    for message in messages:
        match message:
            case SystemMessage():
                told.append(SystemMessage(message.text + "\n" + how))
            case AIMessage():
                told.append(AIMessage(_actions(message) or message.text))
            case ToolMessage():
                told.append(HumanMessage(f"Result of {message.name}:\n{message.text}"))
            case _:
                told.append(HumanMessage(message.text))
    return told if any(isinstance(m, SystemMessage) for m in told) else [SystemMessage(how), *told]


def action_schema(tools: Sequence[Tool]) -> dict[str, Any]:
    """Return the JSON schema of one call of one of these tools."""
    kinds, shared = [], {}
    for tool in tools:
        function = tool["function"]
        arguments = dict(function.get("parameters") or {"type": "object", "properties": {}})
        shared.update(arguments.pop("$defs", {}))
        properties = {"tool": {"const": function["name"]}, "arguments": arguments}
        required = ["tool", "arguments"]
        kinds.append({"type": "object", "properties": properties, "required": required})
    schema: dict[str, Any] = kinds[0]
    if len(kinds) > 1:
        # Some servers want an object at the top.
        schema = {"type": "object", "properties": {ACTION: {"anyOf": kinds}}, "required": [ACTION]}
    return {"title": ACTION, **schema, **({"$defs": shared} if shared else {})}


def sound(message: AIMessage) -> AIMessage:
    """Return the message without halves of characters, which no request could hold again."""
    try:
        message.model_dump_json()
    except ValueError:
        return AIMessage.model_validate(_sound(message.model_dump()))
    return message


def _sound(value: Any) -> Any:  # noqa: ANN401 - whatever a message holds
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_sound(key): _sound(part) for key, part in value.items()}
        case list():
            return [_sound(part) for part in value]
        case _:
            return value


def lifted(message: AIMessage, tools: Sequence[Tool]) -> AIMessage:
    """Return the message with the calls that its text holds, if it has none of its own.

    A call is read from text only where it names an offered tool, or where one tool is offered and
    the JSON has all that this one requires: prose stays prose.
    """
    if message.tool_calls or not tools:
        return message
    text = message.text
    for candidate in _json_texts(text):
        found = _call_of(candidate, tools)
        if found is not None:
            name, arguments = found
            key = content_id(name, arguments, text)
            call: ToolCall = tool_call(name=name, args=arguments, id=f"text_{key}")
            return message.model_copy(
                update={"content": "", "tool_calls": [call], "invalid_tool_calls": []}
            )
    return message


def _described(tool: Tool) -> str:
    function = tool["function"]
    arguments = json.dumps(function.get("parameters") or {}, separators=(",", ":"))
    about = " ".join(str(function.get("description", "")).split())
    return f"- {function['name']}: {about}\n  {arguments}"


def _actions(message: AIMessage) -> str:
    calls = [{"tool": c["name"], "arguments": c["args"]} for c in message.tool_calls]
    return "\n".join(json.dumps(call) for call in calls)


def _json_texts(text: str) -> Iterator[str]:
    """Yield what may be JSON: marked calls, fenced blocks, the whole, the outermost braces."""
    yield from (found.group(2) for found in _TAGGED.finditer(text))
    yield from (found.group(1) for found in _FENCED.finditer(text))
    yield text
    start, end = text.find("{"), text.rfind("}")
    if 0 <= start < end:
        yield text[start : end + 1]


def _call_of(text: str, tools: Sequence[Tool]) -> tuple[str, dict[str, Any]] | None:
    value = _parsed(text)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return None
    named = {str(tool["function"]["name"]): tool["function"] for tool in tools}
    for wrapper in (ACTION, "function"):
        inner = value.get(wrapper)
        value = inner if isinstance(inner, dict) else value
    name = next((str(value[key]) for key in _NAMES if value.get(key) in named), None)
    if name is not None:
        arguments = _arguments(value)
        return (name, arguments) if isinstance(arguments, dict) else None
    if len(named) == 1:
        ((name, function),) = named.items()
        required = (function.get("parameters") or {}).get("required", [])
        if required and set(required) <= set(value):
            return name, value
    return None


def _arguments(value: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever a model wrote
    """Return what was given to a named tool, under a key of its own or beside the name."""
    for key in _ARGUMENTS:
        if key in value:
            given = value[key]
            return _parsed(given) if isinstance(given, str) else given
    return {key: part for key, part in value.items() if key not in _NAMES}


def _parsed(text: str) -> Any:  # noqa: ANN401 - whatever a model wrote
    """Return the value of a JSON text, also of one with bare newlines in its strings.

    What was cut off is not mended: half a program must not pass for a whole one.
    """
    try:
        return json.loads(text.strip(), strict=False)
    except (json.JSONDecodeError, RecursionError):
        return None
