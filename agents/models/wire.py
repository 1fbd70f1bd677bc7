"""The one door through which an agent's calls go to a provider.

`Wired` is a chat model that agents use like any other. Behind it a call is answered from a cassette
when one is played; else the caps of the campaign are asked, the provider is called with a limit of
time, trouble that may pass is met by waiting and asking again, then by the next model of the role,
and what came back is recorded. A model that cannot call tools is spoken to in JSON.
"""

from __future__ import annotations

import contextvars
import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSequence
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from move37.agents.briefs import Slot
from move37.agents.models.ledger import Ledger, Spent
from move37.agents.models.protocols import Tool, Way, action_schema, as_text, lifted, sound
from move37.agents.models.tape import Player, Recorder, digest
from move37.agents.models.trouble import (
    call_errors,
    cut_short,
    may_pass,
    named,
    never_sent,
    provider_errors,
    refuses_tools,
    retry_after,
    status_of,
)
from move37.records import Weather
from move37.settings import Protocol

Result = TypeVar("Result")
NOWHERE = Slot(experiment=0, role="agent")
# An agent's own run is watched already.
NO_CALLBACKS: RunnableConfig = {"callbacks": []}


@dataclass(frozen=True)
class Patience:
    """How trouble is met: how often a call is made, and how many seconds lie between."""

    attempts: int = 3
    first: float = 1.0
    longest: float = 60.0


@dataclass
class Voice:
    """One model of a role, by name, and the way in which it is spoken to, once that is known."""

    name: str
    model: BaseChatModel
    way: Way | None = None


@dataclass(frozen=True)
class Line:
    """All that stands between an agent of one role and its models."""

    role: str
    voices: tuple[Voice, ...]
    ledger: Ledger
    timeout: float = 120.0
    max_output: int = 16_000
    protocol: Protocol = "auto"
    patience: Patience = field(default_factory=Patience)
    limiter: BaseRateLimiter | None = None
    recorder: Recorder | None = None
    player: Player | None = None


@dataclass(frozen=True)
class Asked:
    """One call of an agent: where it stands, what was said so far, and the tools on offer."""

    slot: Slot
    messages: tuple[BaseMessage, ...]
    tools: tuple[Tool, ...] = ()
    choice: str | None = None

    @property
    def place(self) -> tuple[str, int]:
        """The conversation, and how many answers it already holds."""
        return self.slot.key, sum(isinstance(m, AIMessage) for m in self.messages)


class Wired(BaseChatModel):
    """A role's model as its agents see it, with what else the role was given.

    `agent_seconds` bound one turn, `context` the tokens of its prompt; `documents` stand in the
    place of prompts of those names.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    line: Line
    slot: Slot = NOWHERE
    agent_seconds: float = 1_800.0
    context: int = 24_000
    documents: Mapping[str, str] = {}

    @property
    def _llm_type(self) -> str:
        return "move37"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"role": self.line.role, "model": self.line.voices[0].name}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: object) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        provider, _, name = self.line.voices[0].name.partition(":")
        params["ls_provider"] = provider
        params["ls_model_name"] = str(kwargs.get("model") or name)
        return params

    def at(self, slot: Slot) -> Wired:
        """Return the model for one conversation."""
        return self.model_copy(update={"slot": slot})

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: object,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools, whether the model can call them itself or not."""
        offered = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=offered, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the interface has it
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        *,
        tools: Sequence[Tool] | None = None,
        tool_choice: str | None = None,
        **kwargs: object,  # noqa: ARG002 - the interface has it
    ) -> ChatResult:
        asked = Asked(self.slot, tuple(messages), tuple(tools or ()), tool_choice)
        return ChatResult(generations=[ChatGeneration(message=call(self.line, asked))])


def call(line: Line, asked: Asked) -> AIMessage:
    """Return the answer to one call.

    Raises:
        Weather: no model of the role could be had.
        BudgetSpent: the call might pass a cap of the campaign.
        UserError: a provider refuses, or the cassette holds no such call.
    """
    if line.player is not None:
        return line.player.answer(asked.place, digest(asked.messages))
    try:
        answer = _first_answer(line, asked)
    except Weather as weather:
        if line.recorder is not None:
            line.recorder.keep(asked.place, digest(asked.messages), weather)
        raise
    if line.recorder is not None:
        line.recorder.keep(asked.place, digest(asked.messages), answer)
    return answer


def _first_answer(line: Line, asked: Asked) -> AIMessage:
    """Ask the models of the role in turn; the last trouble is told."""
    *before, last = line.voices
    for voice in before:
        try:
            return _patiently(line, voice, asked)
        except Weather as weather:
            structlog.get_logger().warning("model_replaced", model=voice.name, reason=str(weather))
    return _patiently(line, last, asked)


def _patiently(line: Line, voice: Voice, asked: Asked) -> AIMessage:
    """Ask one model, again after a while where the trouble may pass."""
    again = Retrying(
        stop=stop_after_attempt(line.patience.attempts),
        wait=lambda state: _pause(state, line.patience),
        retry=retry_if_exception(lambda error: _worth_waiting(error, line.patience)),
        reraise=True,
    )
    try:
        return again(_in_some_way, line, voice, asked)
    except call_errors() as error:
        raise named(asked.slot.role, error) from error


def _pause(state: RetryCallState, patience: Patience) -> float:
    """Wait as long as the server asks for, or longer each time, and not all at one moment."""
    error = state.outcome.exception() if state.outcome else None
    told = retry_after(error) if isinstance(error, Exception) else None
    own = wait_exponential(patience.first, patience.longest) + wait_random(0, patience.first)
    return max(told or 0.0, own(state))


def _worth_waiting(error: BaseException, patience: Patience) -> bool:
    if not isinstance(error, call_errors()) or not may_pass(error):
        return False
    return (retry_after(error) or 0.0) <= patience.longest


def _in_some_way(line: Line, voice: Voice, asked: Asked) -> AIMessage:
    """Ask in the best way that the model takes; one that it refused is not tried again."""
    ways = _ways(line, voice, asked)
    for way, following in itertools.pairwise(ways):
        try:
            return _once(line, voice, asked, way)
        except call_errors() as error:
            if not _refuses_way(error, way):
                raise
            voice.way = following
            structlog.get_logger().warning(
                "model_spoken_to_otherwise", model=voice.name, refused=way, now=following
            )
    return _once(line, voice, asked, ways[-1])


def _ways(line: Line, voice: Voice, asked: Asked) -> tuple[Way, ...]:
    if not asked.tools:
        return ("text",)
    if line.protocol != "auto":
        return (line.protocol,)
    order: tuple[Way, ...] = ("tools", "schema", "text")
    if (voice.model.profile or {}).get("tool_calling") is False:
        order = ("schema", "text")
    elif len(asked.tools) == 1 and (voice.model.profile or {}).get("structured_output"):
        order = ("schema", "tools", "text")
    return order[order.index(voice.way) :] if voice.way in order else order


def _refuses_way(error: Exception, way: Way) -> bool:
    if isinstance(error, NotImplementedError):
        return True
    if way == "tools":
        return refuses_tools(error)
    return "schema" in str(error).lower() or "response_format" in str(error).lower()


def _once(line: Line, voice: Voice, asked: Asked, way: Way) -> AIMessage:
    """Make one call: reserve, wait for the turn, call within the time, settle."""
    messages, speak = _spoken(voice.model, asked, way)
    chars = sum(len(m.text) + len(str(getattr(m, "tool_calls", ""))) for m in messages)
    chars += sum(len(str(tool)) for tool in asked.tools)
    reserved = line.ledger.reserve(
        role=line.role,
        experiment=asked.slot.experiment,
        model=voice.name,
        chars=chars,
        max_output=line.max_output,
    )
    if line.limiter is not None:
        line.limiter.acquire()
    started = time.perf_counter()
    spent = Spent(input_tokens=None, output_tokens=None, ok=False)
    try:
        answer = within(line.timeout, lambda: _heard(speak, messages))
        if not isinstance(answer, AIMessage):
            raise TypeError(f"the model answered with {type(answer).__name__}")
        spent = _spent(answer)
    except Exception as error:
        if status_of(error) is not None or never_sent(error):
            # Turned away at the door: nothing was read or written.
            spent = Spent(input_tokens=0, output_tokens=0, ok=False)
        raise
    finally:
        seconds = time.perf_counter() - started
        usd = line.ledger.settle(reserved, spent.model_copy(update={"seconds": seconds}))
    told = {"model_name": voice.name} | answer.response_metadata | {"usd": usd, "way": way}
    return lifted(sound(answer.model_copy(update={"response_metadata": told})), asked.tools)


def _spoken(
    model: BaseChatModel, asked: Asked, way: Way
) -> tuple[list[BaseMessage], Callable[[list[BaseMessage]], Any]]:
    """Return the messages as they are sent in this way, and what sends them."""
    if not asked.tools:
        return list(asked.messages), lambda told: model.invoke(told, NO_CALLBACKS)
    if way == "tools":
        bound = model.bind_tools(list(asked.tools), tool_choice=asked.choice)
        return list(asked.messages), lambda told: bound.invoke(told, NO_CALLBACKS)
    told = as_text(asked.messages, asked.tools)
    if way == "text":
        return told, lambda told: model.invoke(told, NO_CALLBACKS)
    schema = action_schema(asked.tools)
    held = model.with_structured_output(schema, method="json_schema", include_raw=True)
    # The parser behind it takes the square of the length of a text that is no JSON.
    assert isinstance(held, RunnableSequence)
    return told, lambda told: held.first.invoke(told, NO_CALLBACKS)["raw"]


def _heard(
    speak: Callable[[list[BaseMessage]], Result], messages: list[BaseMessage]
) -> Result | AIMessage:
    """Return what a model says, also where it was cut short."""
    try:
        return speak(messages)
    except provider_errors() as error:
        told = cut_short(error)
        if told is None:
            raise
        return told


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Return what `work` returns, or give it up: a client may wait for ever on a slow stream.

    Raises:
        TimeoutError: it took longer; its thread is left to end by itself.
    """
    future: Future[Result] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name="model-call", daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except TimeoutError:
        if future.done():
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from None


def _spent(answer: AIMessage) -> Spent:
    usage = answer.usage_metadata
    if usage is None:
        return Spent(input_tokens=None, output_tokens=None)
    details = usage.get("input_token_details") or {}
    return Spent(
        input_tokens=usage["input_tokens"],
        output_tokens=usage["output_tokens"],
        cached_tokens=details.get("cache_read") or 0,
        kept_tokens=details.get("cache_creation") or 0,
        # So LangChain marks what its cache gave.
        source="cache" if usage.get("total_cost") == 0 else "provider",
    )
