"""What an error of a provider means: wait, give up, or tell the user."""

from __future__ import annotations

import email.utils
import time

import httpx
import httpx2
import openai
import pytest
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from move37.agents.models.trouble import may_pass, named, refuses_tools, retry_after, status_of
from move37.records import UserError, Weather


def status(code: int, message: str = "no", **headers: str) -> openai.APIStatusError:
    """Return an error of the client with this status."""
    request = httpx2.Request("POST", "http://127.0.0.1/v1")
    response = httpx2.Response(code, request=request, headers=headers)
    return openai.APIStatusError(message, response=response, body=None)


@pytest.mark.parametrize(
    "error",
    [
        ModelRateLimitError("slow down"),
        ModelTimeoutError("late"),
        ConnectionResetError("gone"),
        TimeoutError("late"),
        httpx.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("cut off"),
        ValueError("no JSON"),
        TypeError("no choices"),
        *(status(code) for code in (408, 409, 423, 425, 429, 500, 502, 503, 529)),
    ],
)
def test_trouble_that_may_pass(error: Exception) -> None:
    assert may_pass(error)
    assert isinstance(named("judge", error), Weather)


@pytest.mark.parametrize(
    "error",
    [
        ModelAuthenticationError("bad key"),
        ModelPermissionDeniedError("not yours"),
        ModelNotFoundError("no such model"),
        ModelInvalidRequestError("temperature"),
        *(status(code) for code in (400, 401, 402, 403, 404, 405, 413, 422)),
        status(429, "Error code: 429 - {'error': {'code': 'insufficient_quota'}}"),
        ModelRateLimitError("Error code: 429 - {'error': {'code': 'insufficient_quota'}}"),
    ],
)
def test_a_refusal_is_for_the_user_on_one_line(error: Exception) -> None:
    assert not may_pass(error)
    told = named("judge", error)
    assert isinstance(told, UserError)
    assert "\n" not in str(told)
    assert "MOVE37_MODEL" in str(told)


@pytest.mark.parametrize(
    "error",
    [
        ContextOverflowError("too long"),
        status(400, "request (21507 tokens) exceeds the available context size (8192 tokens)"),
        status(413, "maximum context length is 8192 tokens"),
    ],
)
def test_a_conversation_that_is_too_long_is_weather_that_does_not_pass(error: Exception) -> None:
    assert not may_pass(error)
    assert isinstance(named("judge", error), Weather)


def test_a_long_error_is_cut_and_put_on_one_line() -> None:
    told = str(named("judge", ValueError("a\nb " * 500)))
    assert "\n" not in told
    assert len(told) < 400


def test_what_a_server_asks_to_wait_is_read_in_both_forms() -> None:
    assert retry_after(status(429, **{"Retry-After": "7"})) == 7
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    told = retry_after(status(429, **{"retry-after": date}))
    assert told is not None
    assert 20 < told <= 31
    assert retry_after(status(429, **{"Retry-After": "soon"})) is None
    assert retry_after(status(429, **{"Retry-After": "-3"})) == 0
    assert retry_after(status(429)) is None
    assert retry_after(ValueError("no")) is None


def test_the_status_is_found_behind_an_error_that_wraps_it() -> None:
    wrapping = RuntimeError("the client's own words")
    wrapping.__cause__ = status(503, **{"Retry-After": "2"})
    assert status_of(wrapping) == 503
    assert retry_after(wrapping) == 2


def test_only_a_refusal_that_names_tools_is_one_of_tools() -> None:
    assert refuses_tools(status(400, "this model does not support tools"))
    assert refuses_tools(ModelInvalidRequestError("tool_choice is not supported"))
    assert refuses_tools(status(500, "tools param requires --jinja flag"))
    assert not refuses_tools(status(400, "unknown field temperature"))
    assert not refuses_tools(status(429, "too many tool calls in a minute"))
    assert not refuses_tools(ModelAuthenticationError("bad key"))
