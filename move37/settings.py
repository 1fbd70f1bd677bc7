"""The only reader of the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from move37.records import UserError

ROLES = ("researcher", "engineer", "judge", "analyst")
OFFLINE = "offline:grammar"
EMBEDDING = "wordllama"


class Settings(BaseSettings):
    """What the environment and `.env` say. Unknown `MOVE37_` variables are refused."""

    model_config = SettingsConfigDict(
        env_prefix="MOVE37_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    home: Path = Path("runs")
    cache: Path = Path("~/.cache/move37")
    database_url: str | None = None
    chroma_url: str | None = None
    embedding: str = EMBEDDING
    model: str = OFFLINE
    researcher_model: str | None = None
    engineer_model: str | None = None
    judge_model: str | None = None
    analyst_model: str | None = None
    base_url: str | None = None
    api_key: SecretStr | None = None
    model_timeout: float = 120.0
    slots: int | None = None
    studio_tier: str = "laptop"
    isolation: Literal["strict", "auto", "off"] = "auto"

    def model_of(self, role: str) -> str:
        """Return `provider:name` of the model that serves this role."""
        if role not in ROLES:
            raise ValueError(f"role {role!r} is none of {ROLES}")
        own: str | None = getattr(self, f"{role}_model")
        return own or self.model


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        UserError: a value has the wrong type, or a `MOVE37_` variable is not known.
    """
    known = {f"MOVE37_{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(k for k in os.environ if k.startswith("MOVE37_") and k not in known)
    if unknown:
        raise UserError(f"unknown variable {unknown[0]}: see .env.example for those that exist")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"MOVE37_{str(first['loc'][0]).upper()}"
        raise UserError(f"{name}: {first['msg']}; see .env.example") from None
