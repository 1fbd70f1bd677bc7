"""Which chat model serves which role, and which model embeds texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from numpy.typing import NDArray

from move37.memory.embedding import Embedder, WordLlama, unit
from move37.records import UserError
from move37.settings import EMBEDDING, OFFLINE, ROLES, Settings


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


def embedder(settings: Settings) -> Embedder:
    """Return the model that embeds scenarios, lessons and motivations.

    Raises:
        UserError: the provider is not known, its package is missing, or it has no key.
    """
    if settings.embedding == EMBEDDING:
        return WordLlama()
    return Provided(settings.embedding, _embeddings(settings.embedding, settings))


class Provided:
    """A provider's embedding model behind our interface."""

    def __init__(self, name: str, model: Embeddings) -> None:
        """Take a model of LangChain's; its name marks what it has embedded."""
        self.name = name
        self._model = model

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of unit length for each text, [N, D]; an empty text gives zeros.

        Raises:
            UserError: the provider did not answer, or not with vectors.
        """
        # Providers refuse empty texts.
        told = [text or " " for text in texts]
        try:
            vectors = self._model.embed_documents(told)
            found = np.asarray(vectors, dtype=np.float32).reshape(len(told), -1)
        except client_errors() as error:
            raise UserError(
                f"the embedding model {self.name} failed ({_first_line(error)}): "
                "check MOVE37_EMBEDDING and the server, then go on with --resume"
            ) from error
        found[[not text.strip() for text in texts]] = 0.0
        return unit(found)


def client_errors() -> tuple[type[Exception], ...]:
    """Return what providers' clients raise when a call fails.

    Evaluated only when an error passes by, so that no client is imported in vain.
    """
    import httpx
    import httpx2
    from langchain_core.exceptions import ModelError
    from openai import APIError

    return (
        ModelError,
        httpx.TransportError,
        httpx2.TransportError,
        APIError,
        ConnectionError,
        TimeoutError,
        ValueError,
    )


def _embeddings(name: str, settings: Settings) -> Embeddings:
    from langchain.embeddings import init_embeddings
    from openai import OpenAIError

    arguments: dict[str, Any] = {}
    if name.startswith("openai:") and settings.base_url:
        # Other servers take texts, not the token ids that OpenAI's own takes.
        arguments |= {"base_url": settings.base_url, "check_embedding_ctx_length": False}
    if settings.api_key:
        arguments["api_key"] = settings.api_key.get_secret_value()
    try:
        model = init_embeddings(name, **arguments)
    except ImportError as error:
        raise UserError(f"embedding model {name!r}: {_install_line(error)}") from None
    except OpenAIError:
        raise UserError(
            f"embedding model {name!r} has no key: set MOVE37_API_KEY, "
            f"or MOVE37_EMBEDDING={EMBEDDING} for the one that comes with the package"
        ) from None
    except ValueError as error:
        raise UserError(
            f"embedding model {name!r}: {_first_line(error)}; see MOVE37_EMBEDDING"
        ) from None
    if not isinstance(model, Embeddings):
        raise UserError(f"embedding model {name!r} is not complete: write provider:name")
    return model


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
