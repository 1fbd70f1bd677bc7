"""What providers' errors mean: trouble that may pass, or something that a user has to mend."""

from __future__ import annotations

import email.utils
import socket
import time
from collections.abc import Iterator

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAuthenticationError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
)
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from move37.records import UserError, Weather

# Asking again would only cost money.
_FOR_THE_USER = (
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
)
# Answers of a client (4xx) that another try may not meet again.
_MAY_PASS = frozenset({408, 409, 423, 425, 429})
_REFUSED, _SERVER = 400, 500
# What LangChain's clients raise when an answer is not what the provider's interface says.
MALFORMED = (
    NotImplementedError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    RecursionError,
)


def provider_errors() -> tuple[type[Exception], ...]:
    """Return what providers' clients raise when a call fails.

    Evaluated only when an error passes by, so that no client is imported in vain.
    """
    import httpx
    import httpx2
    from openai import OpenAIError

    own = (ModelError, ConnectionError, TimeoutError)
    return (*own, httpx.TransportError, httpx2.TransportError, OpenAIError, *_status_errors())


def _status_errors() -> tuple[type[Exception], ...]:
    """Return the status errors of the HTTP clients that providers' packages use bare."""
    import httpx
    import httpx2

    return (httpx.HTTPStatusError, httpx2.HTTPStatusError)


def call_errors() -> tuple[type[Exception], ...]:
    """Return what can come out of a call: trouble, a refusal, or an answer that makes no sense."""
    return (*provider_errors(), *MALFORMED)


def named(role: str, error: Exception) -> Weather | UserError:
    """Return the error as one of the two kinds that the loop knows, on one line."""
    text = " ".join(str(error).split())[:300]
    line = f"the model of the {role} failed: {type(error).__name__}: {text}"
    if may_pass(error) or _too_long(error) or not _refuses(error):
        return Weather(line)
    return UserError(f"{line}; check MOVE37_MODEL, MOVE37_API_KEY, MOVE37_BASE_URL")


def may_pass(error: Exception) -> bool:
    """Whether the same request may be answered a moment later."""
    if isinstance(error, (NotImplementedError, ContextOverflowError, *_FOR_THE_USER)):
        return False
    if _unpaid(error):
        return False
    status = status_of(error)
    if status is not None:
        return status in _MAY_PASS or status >= _SERVER
    if isinstance(error, ModelError):
        return error.is_retryable
    return True


def retry_after(error: Exception) -> float | None:
    """Return the seconds that a server asked to wait (`Retry-After`, a number or a date)."""
    for one in _causes(error):
        headers = getattr(getattr(one, "response", None), "headers", None)
        told = headers.get("retry-after") if headers is not None else None
        if told:
            return _seconds(str(told))
    return None


def cut_short(error: Exception) -> AIMessage | None:
    """Return what a model had said when its answer met the limit of its length.

    OpenAI's client makes an error of that when it is told a schema (`LengthFinishReasonError`).
    """
    completion = getattr(error, "completion", None)
    if completion is None:
        return None
    usage = completion.usage
    tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else None
    return AIMessage(
        completion.choices[0].message.content or "",
        response_metadata={"model_name": completion.model, "finish_reason": "length"},
        usage_metadata=UsageMetadata(
            input_tokens=tokens[0], output_tokens=tokens[1], total_tokens=sum(tokens)
        )
        if tokens
        else None,
    )


def refuses_tools(error: Exception) -> bool:
    """Whether a server says that it cannot call tools."""
    text = str(error).lower()
    named = "tool" in text or "function call" in text
    return named and (
        status_of(error) in (400, 404, 422, 500, 501) or isinstance(error, ModelError)
    )


def status_of(error: Exception) -> int | None:
    """Return the HTTP status with which a server turned a request away.

    An answer of status 200 that could not be read is no refusal: LangChain hangs its response on
    the error too.
    """
    for one in _causes(error):
        for holder in (one, getattr(one, "response", None)):
            status = getattr(holder, "status_code", None)
            if isinstance(status, int) and status >= _REFUSED:
                return status
    return None


def never_sent(error: Exception) -> bool:
    """Whether there was no connection, so that nobody can have read the request."""
    import httpx
    import httpx2

    unmade = (ConnectionRefusedError, socket.gaierror, httpx.ConnectError, httpx2.ConnectError)
    return any(isinstance(one, unmade) for one in _causes(error))


def _too_long(error: Exception) -> bool:
    """Whether the conversation has outgrown the model; servers word that each in their own way."""
    if isinstance(error, ContextOverflowError):
        return True
    text = str(error).lower()
    return status_of(error) in (400, 413) and "context" in text and "token" in text


def _unpaid(error: Exception) -> bool:
    """Whether an account is out of money, which OpenAI says like a call too many in a minute."""
    return "insufficient_quota" in str(error)


def _refuses(error: Exception) -> bool:
    status = status_of(error)
    client = status is not None and _REFUSED <= status < _SERVER
    return client or _unpaid(error) or isinstance(error, _FOR_THE_USER)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _seconds(told: str) -> float | None:
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:
        return None
