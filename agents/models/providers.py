"""LangChain's chat models by `provider:name`, told of effort and limits in their own words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.language_models import BaseChatModel

from move37.records import UserError
from move37.settings import OFFLINE, RoleSettings, provider_of


@dataclass(frozen=True)
class Provider:
    """How one provider's class names what a role may set; None: it has no such setting.

    `extra` is the extra of this package that installs it.
    """

    extra: str | None = None
    output: str | None = "max_tokens"
    timeout: str | None = "timeout"
    retries: str | None = "max_retries"
    effort: str | None = None


EFFORT = "reasoning_effort"
PROVIDERS = {
    "openai": Provider(effort=EFFORT),
    "azure_openai": Provider(effort=EFFORT),
    "anthropic": Provider(extra="anthropic", effort=EFFORT),
    "google_genai": Provider(extra="google", effort=EFFORT),
    "mistralai": Provider(extra="mistral"),
    "bedrock_converse": Provider(extra="bedrock", effort=EFFORT),
    "ollama": Provider(extra="ollama", output="num_predict", timeout=None, retries=None),
    # Its timeout counts milliseconds.
    "openrouter": Provider(timeout=None),
    "deepseek": Provider(extra="deepseek", effort=EFFORT),
    "groq": Provider(extra="groq", effort=EFFORT),
}
# What LangChain knows beside these gets the model's name, the key and the temperature alone.
OTHER = Provider(output=None, timeout=None, retries=None)


def provided(model: str, told: RoleSettings, cache: BaseCache | None) -> BaseChatModel:
    """Return a provider's model; its own retries are off, because the caller retries.

    Raises:
        UserError: the provider is not known, its package is missing, it has no key, or it has no
            such setting.
    """
    # Imported here: a campaign with the built-in model pays for no provider's client.
    from langchain.chat_models import init_chat_model
    from openai import OpenAIError
    from pydantic import ValidationError

    name = provider_of(model)
    provider = PROVIDERS.get(name, OTHER)
    try:
        made = init_chat_model(model, **_arguments(model, told, provider))
    except ImportError as error:
        raise UserError(f"model {model!r}: {install_line(error, provider.extra)}") from None
    except OpenAIError as error:
        raise UserError(_without_key(model, error)) from None
    except ValidationError as error:
        raise UserError(f"model {model!r}: {_first_problem(error)}") from None
    except ValueError as error:
        # LangChain speaks of a parameter of its own where it knows no such provider.
        unknown = "infer model provider" in str(error)
        known = ", ".join(sorted(PROVIDERS))
        why = f"no provider {name!r} in provider:name; there are {known}"
        why = why if unknown else first_line(error)
        raise UserError(f"model {model!r}: {why}; see MOVE37_MODEL") from None
    if not isinstance(made, BaseChatModel):
        raise UserError(f"model {model!r} is not complete: write provider:name")
    return _fitted(made, cache)


def _arguments(model: str, told: RoleSettings, provider: Provider) -> dict[str, Any]:
    named = {
        provider.output: told.max_output,
        provider.timeout: told.timeout,
        provider.retries: 0,
        "temperature": told.temperature,
        "base_url": told.base_url,
        "api_key": told.api_key.get_secret_value() if told.api_key else None,
    }
    if told.effort is not None:
        if provider.effort is None:
            raise UserError(f"model {model!r} has no effort to set: remove MOVE37_..._EFFORT")
        named[provider.effort] = told.effort
    return {key: value for key, value in named.items() if key and value is not None}


def _fitted(model: BaseChatModel, cache: BaseCache | None) -> BaseChatModel:
    """Return the model within what its profile says that it takes."""
    profile = model.profile or {}
    # LangChain takes a stream that ends early for a whole answer, and half a number for a number.
    update: dict[str, Any] = {"disable_streaming": True}
    longest, asked = profile.get("max_output_tokens"), getattr(model, "max_tokens", None)
    if longest and asked and asked > longest:
        update["max_tokens"] = longest
    if profile.get("temperature") is False and getattr(model, "temperature", None) is not None:
        # Models that reason refuse the request when they are told a temperature.
        update["temperature"] = None
    if cache is not None and getattr(model, "temperature", None) == 0:
        update["cache"] = cache
    return model.model_copy(update=update)


def _without_key(model: str, error: Exception) -> str:
    if "api_version" in str(error).lower():
        return f"model {model!r}: set OPENAI_API_VERSION and AZURE_OPENAI_ENDPOINT"
    return (
        f"model {model!r} has no key: set MOVE37_API_KEY (a local server takes any word), "
        f"or MOVE37_MODEL={OFFLINE} for the built-in model"
    )


def _first_problem(error: Any) -> str:  # noqa: ANN401 - pydantic's own error
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return " ".join(f"{where} {first['msg']}".split())[:300]


def install_line(error: ImportError, extra: str | None = None) -> str:
    """Return the command that installs what LangChain missed."""
    if extra is not None:
        return f"its package is missing: pip install 'move37[{extra}]'"
    text = first_line(error)
    return text if "pip install" in text else f"{text}; install the provider's package"


def first_line(error: Exception) -> str:
    """Return the first line of an error, short enough for a terminal."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".")
