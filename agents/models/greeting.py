"""One small call to a role's model: does it call tools, does it keep to a schema?"""

from __future__ import annotations

import time

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from pydantic import BaseModel, Field, ValidationError

from move37.agents.briefs import Slot
from move37.agents.models.trouble import named, provider_errors
from move37.agents.models.wire import Wired
from move37.records import Value

ASKED = (
    "This is a test of the connection. Call the tool Sum with value 4 and the words 'two and two'; "
    "do not call look_up and write nothing else."
)


class Sum(BaseModel):
    """The answer to the test."""

    value: int = Field(ge=0, le=9, description="the sum")
    words: str = Field(min_length=1, description="the sum in words")


@tool
def look_up(word: str) -> str:
    """Return what is known of a word."""
    return word


class Greeting(Value):
    """What came of one call: whether there was an answer by a tool, and one within the schema."""

    model: str
    called: bool
    valid: bool
    way: str
    seconds: float
    tokens: int
    said: str = ""


def greet(role: str, model: Wired) -> Greeting:
    """Make one call as an agent of this role would, and say what came back.

    Raises:
        Weather: the model could not be had.
        UserError: the provider refuses.
    """
    started = time.perf_counter()
    bound = model.at(Slot(experiment=0, role=role)).bind_tools([look_up, Sum], tool_choice="any")
    messages = [SystemMessage(f"You are the {role} of a laboratory."), HumanMessage(ASKED)]
    try:
        answer = bound.invoke(messages)
    except provider_errors() as error:
        raise named(role, error) from error
    calls = [call for call in answer.tool_calls if call["name"] == Sum.__name__]
    usage = answer.usage_metadata
    return Greeting(
        model=str(answer.response_metadata.get("model_name", "unnamed")),
        called=bool(answer.tool_calls),
        valid=bool(calls) and _valid(calls[0]["args"]),
        way=str(answer.response_metadata.get("way", "tools")),
        seconds=time.perf_counter() - started,
        tokens=usage["total_tokens"] if usage else 0,
        said=" ".join(answer.text.split())[:120],
    )


def _valid(arguments: dict[str, object]) -> bool:
    try:
        Sum.model_validate(arguments)
    except ValidationError:
        return False
    return True
