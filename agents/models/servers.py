"""Is anybody at the addresses that a user gave?"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from move37.records import UserError
from move37.settings import OFFLINE, Settings, provider_of

CONNECT_SECONDS = 10.0
# Who has taken the connection is there, however long the answer takes.
ANSWER_SECONDS = 2.0


def check_servers(settings: Settings, roles: Iterable[str]) -> None:
    """Knock at the own address of each role's model; any answer will do.

    A role with fall-backs is left alone: it can do without the first of its models.

    Raises:
        UserError: nobody takes the connection.
    """
    named: dict[str, str] = {}
    for role in roles:
        told, provider = settings.of(role), provider_of(settings.model_of(role))
        if told.base_url and not told.fallbacks and provider != provider_of(OFFLINE):
            own = getattr(settings, role).base_url is not None
            variable = f"MOVE37_{role.upper()}_BASE_URL" if own else "MOVE37_BASE_URL"
            named.setdefault(told.base_url, variable)
    for address, variable in named.items():
        _knock(address, variable)


@lru_cache
def _knock(address: str, variable: str) -> None:
    """Raise where nobody is; whoever was found once is not asked again by this process."""
    # Imported here: a campaign with the built-in model pays for no client.
    import httpx2

    limits = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    try:
        with httpx2.stream("GET", address, timeout=limits):
            return
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.InvalidURL) as error:
        why = str(error) or f"no connection in {CONNECT_SECONDS:.0f} s"
        raise UserError(
            f"no server at {address} ({why}): start it, or correct {variable}"
        ) from None
    except httpx2.RequestError:
        return
