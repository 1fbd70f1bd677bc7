"""The one function that runs an agent, and the one place where provider trouble gets its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
    ToolErrorMiddleware,
)
from langchain.agents.structured_output import ToolStrategy
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel

from move37.agents.briefs import Brief, slot_of
from move37.agents.models.trouble import named, provider_errors
from move37.agents.models.wire import Wired
from move37.agents.prompts.packing import PROMPT_TOKENS
from move37.agents.prompts.prompting import message, system_prompt
from move37.records import TokenUse, Weather

if TYPE_CHECKING:
    from langgraph.types import Command

Answer = TypeVar("Answer", bound=BaseModel)
Review = Callable[[Answer, Sequence[BaseMessage]], str | None]

# An agent without checkpoints inside a graph with synchronous ones inherits a wish to wait for a
# write that never comes (langgraph 1.2); this key takes the wish back.
_NO_CHECKPOINTS: RunnableConfig = {"configurable": {"__pregel_durability": "async"}}
_UNANSWERED = "Your turn ended without an answer that can be read: give it by the tool {}."
# A turn whose model has no limit of its own.
SECONDS = 1_800.0


@dataclass
class Turn:
    """One agent's turn as it goes on: what it cost so far, and when it is given up.

    `calls` bound the model calls of the whole turn, what follows a complaint included; LangChain's
    own limit would begin anew with it.
    """

    role: str
    ends: float
    calls: int
    answers: list[AIMessage] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)  # seconds of each call of the model
    worked: list[float] = field(default_factory=list)  # and of each tool
    malformed: list[str] = field(default_factory=list)

    def use(self) -> TokenUse:
        """Add up what the model's answers say of their cost."""
        names = [
            str(m.response_metadata["model_name"]) for m in self.answers if m.response_metadata
        ]
        usage = [m.usage_metadata for m in self.answers if m.usage_metadata is not None]
        money = [m.response_metadata.get("usd") for m in self.answers]
        return TokenUse(
            role=self.role,
            model=names[-1] if names else "unnamed",
            calls=len(self.answers),
            input_tokens=sum(u["input_tokens"] for u in usage),
            output_tokens=sum(u["output_tokens"] for u in usage),
            seconds=sum(self.asked),
            usd=None if None in money else sum(money),
            machine_seconds=sum(self.worked),
        )

    def mend(self, error: Exception) -> str:
        """Return what a model is told of an answer that cannot be read."""
        self.malformed.append(_short(error))
        return f"Error: {error}\nCorrect this and answer again."

    def go_on(self) -> None:
        """Allow one more call of the model.

        Raises:
            Weather: two answers could not be read, or calls or time are used up.
        """
        if len(self.malformed) > 1:
            raise Weather(f"the {self.role} gave no answer that can be read: {self.malformed[-1]}")
        if len(self.asked) >= self.calls:
            raise Weather(f"the {self.role} gave no answer within {self.calls} calls of its model")
        if time.perf_counter() > self.ends:
            raise Weather(f"the {self.role} gave no answer within its time")


class Watched(AgentMiddleware[Any, None, Any]):
    """Counts what a turn costs and ends it when its time is over."""

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self._turn = turn

    def wrap_model_call(
        self,
        request: ModelRequest[None],
        handler: Callable[[ModelRequest[None]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        """Call the model, unless the turn is given up."""
        self._turn.go_on()
        started = time.perf_counter()
        try:
            response = handler(request)
        finally:
            self._turn.asked.append(time.perf_counter() - started)
        self._turn.answers += [m for m in response.result if isinstance(m, AIMessage)]
        return response

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Call a tool; what takes time in one is the evaluator's work."""
        started = time.perf_counter()
        try:
            return handler(request)
        finally:
            self._turn.worked.append(time.perf_counter() - started)


def run_agent(
    model: BaseChatModel,
    brief: Brief,
    answer: type[Answer],
    tools: Sequence[BaseTool] = (),
    calls: int = 12,
    review: Review[Answer] | None = None,
) -> tuple[Answer, TokenUse]:
    """Run the agent of a brief's role until it gives a structured answer.

    `review` sees the answer and the conversation, and returns a complaint or None. A complaint goes
    back to the agent once; whoever asked has to review the second answer.

    Raises:
        Weather: the provider failed, or there was no answer within `calls` calls of the model.
        UserError: the provider refuses the key, the model's name or the request.
    """
    slot = slot_of(brief)
    seconds, budget, document = SECONDS, PROMPT_TOKENS, None
    if isinstance(model, Wired):
        seconds, budget = model.agent_seconds, model.context
        document = model.documents.get(slot.role)
        model = model.at(slot)
    turn = Turn(slot.role, ends=time.perf_counter() + seconds, calls=calls)
    agent = create_agent(
        model,
        list(tools),
        system_prompt=system_prompt(slot.role, document),
        response_format=ToolStrategy(answer, handle_errors=turn.mend),
        middleware=[
            Watched(turn),
            ToolErrorMiddleware(lambda error, _: _told(error)),
        ],
        checkpointer=False,
        name=slot.role,
    )

    def ask(messages: list[Any]) -> tuple[Answer, list[Any]]:
        result = agent.invoke({"messages": messages}, _NO_CHECKPOINTS)
        found = result.get("structured_response")
        if isinstance(found, answer):
            return found, result["messages"]
        turn.mend(ValueError("the turn ended without a structured answer"))
        return ask([*result["messages"], HumanMessage(_UNANSWERED.format(answer.__name__))])

    with _guarded(turn):
        found, said = ask([message(brief, budget, document)])
        if review is not None and (complaint := review(found, said)) is not None:
            found, _ = ask([*said, HumanMessage(complaint)])
    return found, turn.use()


def _told(error: Exception) -> str | None:
    """Return what a model is told of its own mistake; any other error is ours and goes up."""
    return f"Error: {error}" if isinstance(error, ToolException) else None


@contextmanager
def _guarded(turn: Turn) -> Iterator[None]:
    """Give errors of providers the two names that we know, and trouble what the turn has cost."""
    try:
        yield
    except Weather as weather:
        raise Weather(str(weather), (turn.use(),)) from weather
    except provider_errors() as error:
        found = named(turn.role, error)
        if isinstance(found, Weather):
            found = Weather(str(found), (turn.use(),))
        raise found from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
