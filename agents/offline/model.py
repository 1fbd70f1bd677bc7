"""`offline:grammar`: a chat model that needs no provider, for the loop without a key.

It takes the prompts and tools that any model takes, reads the structured brief that rides along
with the message, and is a pure function of the messages: the same conversation gives the same
turn, on every machine. What it knows of design is the grammar's (`agents/offline/grammar`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from move37.agents.offline.design import engineer_turn, researcher_turn
from move37.agents.offline.summary import summarizer_turn
from move37.agents.offline.turn import Call, Done, Turn
from move37.agents.offline.verdict import analyst_turn, forecaster_turn, judge_turn
from move37.agents.prompts.prompting import CONTEXT_KEY
from move37.records import content_id

NAME = "grammar"
POLICIES: dict[str, Callable[[Turn], Call]] = {
    "researcher": researcher_turn,
    "summarizer": summarizer_turn,
    "engineer": engineer_turn,
    "forecaster": forecaster_turn,
    "judge": judge_turn,
    "analyst": analyst_turn,
}
HELP = (
    "I am the built-in offline model of Move37: I design token mixers by a grammar and do not "
    "chat. Start `move37 run`, or name a chat model in MOVE37_MODEL to talk to one."
)


class OfflineModel(BaseChatModel):
    """The built-in designer behind the interface of a chat model."""

    model: str = NAME

    @property
    def _llm_type(self) -> str:
        return "offline"

    @property
    def _identifying_params(self) -> dict[str, object]:
        return {"model": self.model}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: object) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "offline"
        return params

    def bind_tools(
        self,
        tools: Sequence[dict[str, object] | type | Callable[..., object] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: object,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools; `tool_choice` changes nothing, since a turn never ends in prose alone."""
        offered = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=offered, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the interface has it
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: object,
    ) -> ChatResult:
        reply = _reply(messages, _names(kwargs.get("tools")), self.model)
        return ChatResult(generations=[ChatGeneration(message=reply)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the interface has it
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> Iterator[ChatGenerationChunk]:
        reply = _reply(messages, _names(kwargs.get("tools")), self.model)
        chunk = ChatGenerationChunk(message=_as_chunk(reply))
        if run_manager:
            run_manager.on_llm_new_token(reply.text, chunk=chunk)
        yield chunk


def _names(tools: object) -> tuple[str, ...]:
    """Return the names of the bound tools."""
    offered = tools if isinstance(tools, list) else []
    return tuple(str(tool["function"]["name"]) for tool in offered)


def _reply(messages: Sequence[BaseMessage], tools: tuple[str, ...], model: str) -> AIMessage:
    """Return the next message of the conversation."""
    found = _turn(messages, tools)
    if found is None:
        return _message(HELP, [], messages, model)
    role, turn = found
    call = POLICIES[role](turn)
    if call.name not in tools:
        return _message(json.dumps(call.arguments), [], messages, model)
    key = content_id(role, turn.brief, len(turn.done), call.name, call.arguments)
    asked = tool_call(name=call.name, args=call.arguments, id=f"call_{key}")
    return _message("", [asked], messages, model)


def _turn(messages: Sequence[BaseMessage], tools: tuple[str, ...]) -> tuple[str, Turn] | None:
    """Return the role that is asked, and where it stands since the last brief."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        context = message.additional_kwargs.get(CONTEXT_KEY)
        if isinstance(message, HumanMessage) and isinstance(context, dict):
            done = tuple(_done(messages[at + 1 :]))
            return str(context["role"]), Turn(dict(context["brief"]), tools, done)
    return None


def _done(messages: Sequence[BaseMessage]) -> Iterator[Done]:
    """Yield each tool call that was answered, in order."""
    asked = {
        call["id"]: call["args"]
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }
    for message in messages:
        if isinstance(message, ToolMessage):
            arguments = asked.get(message.tool_call_id, {})
            yield Done(message.name or "", arguments, message.text, message.artifact)


def _message(
    text: str, calls: list[ToolCall], messages: Sequence[BaseMessage], model: str
) -> AIMessage:
    """Return the reply with its size; a token of this model is a word."""
    read = sum(len(message.text.split()) for message in messages)
    written = len(text.split()) + sum(len(json.dumps(call["args"]).split()) for call in calls)
    usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
    return AIMessage(
        content=text,
        tool_calls=calls,
        usage_metadata=usage,
        response_metadata={"model_name": model, "model_provider": "offline"},
    )


def _as_chunk(reply: AIMessage) -> AIMessageChunk:
    """Return a reply as the one and last chunk of a stream."""
    pieces = [
        {"name": c["name"], "args": json.dumps(c["args"]), "id": c["id"], "index": at}
        for at, c in enumerate(reply.tool_calls)
    ]
    return AIMessageChunk(
        content=reply.content,
        tool_call_chunks=pieces,
        usage_metadata=reply.usage_metadata,
        response_metadata=reply.response_metadata,
        chunk_position="last",
    )
