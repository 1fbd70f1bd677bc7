"""The one function that runs an agent, and the one place where provider trouble gets its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelCallLimitMiddleware,
    ToolErrorMiddleware,
)
from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError
from langchain.agents.structured_output import ToolStrategy
from langchain_core.exceptions import (
    ModelAuthenticationError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel

from move37.agents.briefs import Brief
from move37.agents.prompting import message, role_of, system_prompt
from move37.records import TokenUse, UserError, Weather

Answer = TypeVar("Answer", bound=BaseModel)

# A user has to mend these; asking again would only cost money.
_SETTINGS_ERRORS = (
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
)
# An agent without checkpoints inside a graph with synchronous ones inherits a wish to wait for a
# write that never comes (langgraph 1.2); this key takes the wish back.
_NO_CHECKPOINTS: RunnableConfig = {"configurable": {"__pregel_durability": "async"}}
_TRY_AGAIN = frozenset({408, 409, 423, 425, 429})


def run_agent(
    model: BaseChatModel,
    brief: Brief,
    answer: type[Answer],
    tools: Sequence[BaseTool] = (),
    calls: int = 12,
) -> tuple[Answer, TokenUse]:
    """Run the agent of a brief's role until it gives a structured answer.

    Raises:
        Weather: the provider failed, or there was no answer within `calls` model calls.
        UserError: the provider refuses the key, the model's name or the request.
    """
    role = role_of(brief)
    limits: list[AgentMiddleware[Any, None, Any]] = [
        ModelCallLimitMiddleware(run_limit=calls, exit_behavior="error"),
        ToolErrorMiddleware(lambda error, _: _told(error)),
    ]
    agent = create_agent(
        model,
        list(tools),
        system_prompt=system_prompt(role),
        response_format=ToolStrategy(answer),
        middleware=limits,
        checkpointer=False,
        name=role,
    )
    started = time.perf_counter()
    result = _guarded(role, lambda: agent.invoke({"messages": [message(brief)]}, _NO_CHECKPOINTS))
    found = result.get("structured_response")
    if not isinstance(found, answer):
        raise Weather(f"the {role} ended without a structured answer")
    use = _use(role, result["messages"], time.perf_counter() - started)
    return found, use


def _told(error: Exception) -> str | None:
    """Return what a model is told of its own mistake; any other error is ours and goes up."""
    return f"Error: {error}" if isinstance(error, ToolException) else None


def _guarded(role: str, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call, and translate the errors of providers into the two kinds that we know."""
    try:
        return call()
    except ModelCallLimitExceededError as error:
        raise Weather(f"the {role} gave no answer: {error}") from error
    except _SETTINGS_ERRORS as error:
        raise _refusal(role, error) from error
    except (ModelError, ConnectionError, TimeoutError) as error:
        raise Weather(_line(role, error)) from error
    except _raw_errors() as error:
        if _for_the_user(error):
            raise _refusal(role, error) from error
        raise Weather(_line(role, error)) from error


def _raw_errors() -> tuple[type[Exception], ...]:
    """Return the clients' errors that LangChain hands through (a 408, a broken stream).

    Evaluated only when an error passes by, so that no client is imported in vain.
    """
    import httpx
    import httpx2
    from openai import APIError

    return (httpx.TransportError, httpx2.TransportError, APIError)


def _for_the_user(error: Exception) -> bool:
    """Whether a client's error is a refusal (4xx) that another try would meet again."""
    status = getattr(error, "status_code", None)
    return isinstance(status, int) and 400 <= status < 500 and status not in _TRY_AGAIN


def _refusal(role: str, error: Exception) -> UserError:
    """Return the one line that tells a user what the provider refused."""
    return UserError(f"{_line(role, error)}; check MOVE37_MODEL, MOVE37_API_KEY, MOVE37_BASE_URL")


def _line(role: str, error: Exception) -> str:
    """Return a provider's error on one line."""
    text = " ".join(str(error).split())[:300]
    return f"the model of the {role} failed: {type(error).__name__}: {text}"


def _use(role: str, messages: Sequence[BaseMessage], seconds: float) -> TokenUse:
    """Add up what the model's messages say of their cost.

    Read from the messages, not by `get_usage_metadata_callback`: each use of that registers
    another hook for the life of the process, and a campaign runs thousands of agents.
    """
    turns = [m for m in messages if isinstance(m, AIMessage)]
    names = [str(m.response_metadata["model_name"]) for m in turns if m.response_metadata]
    usage = [m.usage_metadata for m in turns if m.usage_metadata is not None]
    return TokenUse(
        role=role,
        model=names[-1] if names else "unnamed",
        calls=len(turns),
        input_tokens=sum(u["input_tokens"] for u in usage),
        output_tokens=sum(u["output_tokens"] for u in usage),
        seconds=seconds,
    )
