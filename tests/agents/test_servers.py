"""An address at which nobody is, is told before a campaign begins."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from move37.agents.models import servers
from move37.agents.models.servers import check_servers
from move37.records import UserError
from move37.settings import ROLES, Settings

NOBODY = "http://127.0.0.1:9/v1"


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, api_key=SecretStr("k"), **{"model": "openai:m"} | values)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that takes every connection and says nothing."""
    monkeypatch.setattr(servers, "ANSWER_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


@pytest.mark.parametrize(
    ("values", "variable"),
    [
        ({"base_url": NOBODY}, "MOVE37_BASE_URL"),
        ({"base_url": NOBODY, "judge": {"model": "openai:small"}}, "MOVE37_BASE_URL"),
        ({"judge": {"base_url": NOBODY}}, "MOVE37_JUDGE_BASE_URL"),
        ({"base_url": "http://no-such-host.invalid/v1"}, "MOVE37_BASE_URL"),
    ],
)
def test_the_variable_with_the_wrong_address_is_named(
    values: dict[str, Any], variable: str
) -> None:
    with pytest.raises(UserError, match=rf"no server at .*: start it, or correct {variable}$"):
        check_servers(settings(**values), ROLES)


def test_whoever_takes_the_connection_is_there(silent: str) -> None:
    check_servers(settings(base_url=silent), ROLES)


@pytest.mark.parametrize(
    "values",
    [
        {"fallbacks": "openai:spare", "base_url": NOBODY},
        {"model": "offline:grammar", "base_url": NOBODY},
        {"model": "anthropic:c", "base_url": None},
    ],
)
def test_an_address_that_can_be_done_without_is_not_knocked_at(values: dict[str, Any]) -> None:
    check_servers(settings(**values), ROLES)


def test_only_the_roles_that_are_called_are_asked_for() -> None:
    own = settings(researcher={"base_url": NOBODY})
    check_servers(own, [role for role in ROLES if role != "researcher"])
    with pytest.raises(UserError):
        check_servers(own, ROLES)


@pytest.mark.parametrize(
    "text", ["nonsense", "127.0.0.1:8000/v1", "localhost:1", "ftp://a/v1", "http://", "http://a:b"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    for values in ({"base_url": text}, {"judge": {"base_url": text}}, {"embedding_url": text}):
        with pytest.raises(ValidationError, match="is no address: write it as http://HOST:PORT/v1"):
            settings(**values)
