"""Which chat model serves which role."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel

from move37.records import UserError
from move37.settings import OFFLINE, ROLES, Settings


def chat_model(role: str, settings: Settings) -> BaseChatModel:
    """Return the chat model of a role, without retries of its own: the graph retries.

    Raises:
        UserError: the provider is not known, its package is missing, or it has no key.
    """
    name = settings.model_of(role)
    provider = name.partition(":")[0]
    if provider == OFFLINE.partition(":")[0]:
        return _offline(name)
    return _provided(name, settings)


def check_models(settings: Settings) -> None:
    """Build the model of every role once, so that a campaign does not begin with a bad one.

    Nothing is sent: a wrong key shows at the first call.

    Raises:
        UserError: see `chat_model`.
    """
    for role in ROLES:
        chat_model(role, settings)


def _offline(name: str) -> BaseChatModel:
    """Return the built-in model."""
    if name != OFFLINE:
        raise UserError(f"model {name!r} does not exist: the built-in one is {OFFLINE}")
    from move37.agents.offline import OfflineModel

    return OfflineModel()


def _provided(name: str, settings: Settings) -> BaseChatModel:
    """Return a provider's model by LangChain's own factory."""
    # Imported here: a campaign with the built-in model pays for no provider's client.
    from langchain.chat_models import init_chat_model
    from openai import OpenAIError

    arguments: dict[str, object] = {"timeout": settings.model_timeout, "max_retries": 0}
    if settings.base_url:
        arguments["base_url"] = settings.base_url
    if settings.api_key:
        arguments["api_key"] = settings.api_key.get_secret_value()
    try:
        model = init_chat_model(name, **arguments)  # type: ignore[call-overload]
    except ImportError as error:
        raise UserError(f"model {name!r}: {_install_line(error)}") from None
    except OpenAIError:
        raise UserError(
            f"model {name!r} has no key: set MOVE37_API_KEY (a local server takes any word), "
            f"or MOVE37_MODEL={OFFLINE} for the built-in model"
        ) from None
    except ValueError as error:
        raise UserError(f"model {name!r}: {_first_line(error)}; see MOVE37_MODEL") from None
    if not isinstance(model, BaseChatModel):
        raise UserError(f"model {name!r} is not complete: write provider:name")
    return model


def _install_line(error: ImportError) -> str:
    """Return the command that installs what LangChain missed."""
    text = _first_line(error)
    return text if "pip install" in text else f"{text}; install the provider's package"


def _first_line(error: Exception) -> str:
    """Return the first line of an error, short enough for a terminal."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".")
