"""Which chat model serves which role, and which model embeds texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.rate_limiters import BaseRateLimiter, InMemoryRateLimiter
from numpy.typing import NDArray

from move37.agents.models.answer_cache import AnswerCache
from move37.agents.models.ledger import Ledger
from move37.agents.models.prices import load_prices
from move37.agents.models.providers import first_line, install_line, provided
from move37.agents.models.servers import check_servers
from move37.agents.models.tape import Player, Recorder
from move37.agents.models.trouble import call_errors
from move37.agents.models.wire import Line, Patience, Voice, Wired
from move37.memory.embedding import Embedder, WordLlama, unit
from move37.records import Caps, UserError
from move37.settings import EMBEDDING, EXTERNAL, OFFLINE, ROLES, Settings, provider_of


@dataclass(frozen=True)
class Means:
    """What the models of one campaign share: the books, the cassette, the pace, the patience."""

    ledger: Ledger = field(default_factory=lambda: Ledger(Caps(), load_prices()))
    recorder: Recorder | None = None
    player: Player | None = None
    patience: Patience = field(default_factory=Patience)
    prompts: Mapping[str, str] = field(default_factory=dict)


def chat_model(role: str, settings: Settings, means: Means | None = None) -> BaseChatModel:
    """Return the chat model of a role: the model itself and its fall-backs behind one line.

    Raises:
        UserError: a provider is not known, its package is missing, or it has no key.
    """
    told, means = settings.of(role), means or Means()
    names = [settings.model_of(role), *_listed(told.fallbacks)]
    # A cassette answers alone: no key is needed, no client is made.
    voices = [] if means.player else [_voice(name, role, settings) for name in names]
    if means.player:
        voices = [Voice(names[0], _offline(OFFLINE))]
    line = Line(
        role=role,
        voices=tuple(voices),
        ledger=means.ledger,
        timeout=told.timeout or settings.model_timeout,
        max_output=told.max_output or settings.max_output,
        protocol=told.protocol or settings.protocol,
        patience=means.patience,
        limiter=limiter(settings.requests_per_minute),
        recorder=means.recorder,
        player=means.player,
    )
    return Wired(
        line=line,
        agent_seconds=settings.agent_seconds,
        context=settings.context,
        documents=means.prompts,
    )


def chat_models(
    settings: Settings, means: Means | None = None, *, outside: bool = False
) -> dict[str, BaseChatModel]:
    """Return the model of every role; see `chat_model`.

    With `outside` the researcher may be somebody else's: then it has none.
    """
    means = means or Means()
    return {role: chat_model(role, settings, means) for role in _called(settings, outside=outside)}


def check_models(settings: Settings, *, outside: bool = False) -> None:
    """Build the model of every role once, so that a campaign does not begin with a bad one.

    No model is asked anything: a wrong key shows at the first call.

    Raises:
        UserError: see `chat_model`; or nobody is at an address that the user gave.
    """
    chat_models(settings, outside=outside)
    check_servers(settings, _called(settings, outside=outside))


def _called(settings: Settings, *, outside: bool) -> list[str]:
    """Return the roles that we call; with `outside` not a researcher that is somebody else's."""
    away = outside and settings.model_of("researcher") == EXTERNAL
    return [role for role in ROLES if not (away and role == "researcher")]


def _voice(name: str, role: str, settings: Settings) -> Voice:
    if provider_of(name) == provider_of(OFFLINE):
        return Voice(name, _offline(name))
    if name == EXTERNAL:
        raise UserError(
            f"the {role} is {EXTERNAL}: start `move37 mcp` or `move37 brief`, which wait for it"
            if role == "researcher"
            else f"only the researcher can be {EXTERNAL}, not the {role}"
        )
    told = settings.of(role)
    if provider_of(name) != provider_of(settings.model_of(role)):
        # The address and the key of one provider say nothing to another.
        told = told.model_copy(update={"base_url": None, "api_key": None})
    cache = _answers(settings) if told.temperature == 0 else None
    return Voice(name, provided(name, told, cache))


def _listed(names: str | None) -> list[str]:
    return [name.strip() for name in (names or "").split(",") if name.strip()]


@lru_cache
def limiter(per_minute: float | None) -> BaseRateLimiter | None:
    """Return the one limiter of this process for this pace."""
    if per_minute is None:
        return None
    return InMemoryRateLimiter(
        requests_per_second=per_minute / 60, check_every_n_seconds=0.05, max_bucket_size=1
    )


def _answers(settings: Settings) -> BaseCache:
    return AnswerCache(settings.cache.expanduser() / "answers.sqlite")


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
        except call_errors() as error:
            raise UserError(
                f"the embedding model {self.name} failed ({first_line(error)}): "
                "check MOVE37_EMBEDDING and the server, then go on with --resume"
            ) from error
        found[[not text.strip() for text in texts]] = 0.0
        return unit(found)


def _embedding_arguments(name: str, settings: Settings) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    url, key = settings.embedding_url, settings.embedding_key or settings.api_key
    if name.startswith("openai:"):
        url = url or settings.base_url
        # Other servers take texts, not the token ids that OpenAI's own takes.
        arguments |= {"timeout": settings.embedding_timeout, "check_embedding_ctx_length": not url}
    if url:
        arguments["base_url"] = url
    if key:
        arguments["api_key"] = key.get_secret_value()
    return arguments


def _embeddings(name: str, settings: Settings) -> Embeddings:
    from langchain.embeddings import init_embeddings
    from openai import OpenAIError

    arguments = _embedding_arguments(name, settings)
    try:
        model = init_embeddings(name, **arguments)
    except ImportError as error:
        raise UserError(f"embedding model {name!r}: {install_line(error)}") from None
    except OpenAIError:
        raise UserError(
            f"embedding model {name!r} has no key: set MOVE37_API_KEY, "
            f"or MOVE37_EMBEDDING={EMBEDDING} for the one that comes with the package"
        ) from None
    except ValueError as error:
        raise UserError(
            f"embedding model {name!r}: {first_line(error)}; see MOVE37_EMBEDDING"
        ) from None
    if not isinstance(model, Embeddings):
        raise UserError(f"embedding model {name!r} is not complete: write provider:name")
    return model


def _offline(name: str) -> BaseChatModel:
    """Return the built-in model."""
    if name != OFFLINE:
        raise UserError(f"model {name!r} does not exist: the built-in one is {OFFLINE}")
    from move37.agents.offline.model import OfflineModel

    return OfflineModel()
