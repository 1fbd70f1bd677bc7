"""The only reader of the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from move37.records import UserError

ROLES = ("researcher", "engineer", "judge", "analyst", "summarizer")
OFFLINE = "offline:grammar"
EXTERNAL = "external"
EMBEDDING = "wordllama"
# A summary should say what is there, in much the same words each time.
OWN_TEMPERATURE = {"summarizer": 0.1}

Effort = Literal["minimal", "low", "medium", "high"]
Protocol = Literal["auto", "tools", "schema", "text"]
Seconds = Annotated[float, Field(gt=0)]


def _http(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise PydanticCustomError(
            "address", "{text} is no address: write it as http://HOST:PORT/v1", {"text": repr(text)}
        )
    return text


Address = Annotated[str, AfterValidator(_http)]


class RoleSettings(BaseModel):
    """What the environment says of one role, such as `MOVE37_JUDGE_TEMPERATURE`; None: as for all.

    `fallbacks` are more models, separated by commas, that are asked in turn when one fails.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    base_url: Address | None = None
    api_key: SecretStr | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    effort: Effort | None = None
    timeout: Seconds | None = None
    max_output: Annotated[int, Field(ge=256)] | None = None
    fallbacks: str | None = None
    protocol: Protocol | None = None


class Settings(BaseSettings):
    """What the environment and `.env` say. Unknown `MOVE37_` variables are refused.

    `max_output` are tokens of one answer, `context` tokens of the longest prompt; `agent_seconds`
    bound one agent's whole turn, `model_timeout` one call of it.
    """

    model_config = SettingsConfigDict(
        env_prefix="MOVE37_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        env_nested_delimiter="_",
        # So that MOVE37_JUDGE_BASE_URL is the base_url of the judge.
        env_nested_max_split=1,
    )

    home: Path = Path("runs")
    cache: Path = Path("~/.cache/move37")
    database_url: Address | None = None
    chroma_url: str | None = None
    embedding: str = EMBEDDING
    embedding_url: Address | None = None
    embedding_key: SecretStr | None = None
    embedding_timeout: Seconds = 60.0
    model: str = OFFLINE
    base_url: Address | None = None
    api_key: SecretStr | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    effort: Effort | None = None
    model_timeout: Seconds = 120.0
    max_output: Annotated[int, Field(ge=256)] = 16_000
    fallbacks: str | None = None
    protocol: Protocol = "auto"
    researcher: RoleSettings = RoleSettings()
    engineer: RoleSettings = RoleSettings()
    judge: RoleSettings = RoleSettings()
    analyst: RoleSettings = RoleSettings()
    summarizer: RoleSettings = RoleSettings()
    context: Annotated[int, Field(ge=2_000)] = 24_000
    agent_seconds: Seconds = 1_800.0
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    prices: Path | None = None
    local_gguf: Path | None = None
    slots: int | None = None
    studio_tier: str = "laptop"
    isolation: Literal["strict", "auto", "off"] = "auto"

    def of(self, role: str) -> RoleSettings:
        """Return what holds for a role: its own values, else those for all.

        The general address and key are those of the general model, so a role whose model is
        another provider's does not inherit them; beside the built-in one they are anybody's.
        """
        own = self._own(role)
        model = own.model or self.model
        same = provider_of(self.model) in (provider_of(model), provider_of(OFFLINE))
        general = {
            "model": model,
            "base_url": self.base_url if same else None,
            "api_key": self.api_key if same else None,
            "temperature": OWN_TEMPERATURE.get(role, self.temperature),
            "effort": self.effort,
            "timeout": self.model_timeout,
            "max_output": self.max_output,
            "fallbacks": self.fallbacks,
            "protocol": self.protocol,
        }
        return RoleSettings(**general | own.model_dump(exclude_none=True))

    def model_of(self, role: str) -> str:
        """Return `provider:name` of the model that serves this role."""
        return self._own(role).model or self.model

    def _own(self, role: str) -> RoleSettings:
        if role not in ROLES:
            raise ValueError(f"role {role!r} is none of {ROLES}")
        own: RoleSettings = getattr(self, role)
        return own


def provider_of(model: str) -> str:
    """Return the provider in `provider:name`."""
    return model.partition(":")[0]


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        UserError: a value has the wrong type, or a `MOVE37_` variable is not known.
    """
    unknown = sorted(k for k in os.environ if k.startswith("MOVE37_") and k not in variables())
    if unknown:
        raise UserError(f"unknown variable {unknown[0]}: see .env.example for those that exist")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(("MOVE37", *(str(part).upper() for part in first["loc"])))
        raise UserError(f"{name}: {first['msg']}; see .env.example") from None


def variables() -> frozenset[str]:
    """Return the names of all variables that are read."""
    plain = [name for name in Settings.model_fields if name not in ROLES]
    own = [f"{role}_{name}" for role in ROLES for name in RoleSettings.model_fields]
    return frozenset(f"MOVE37_{name.upper()}" for name in (*plain, *own))
