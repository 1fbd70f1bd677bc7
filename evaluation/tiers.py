"""Scales of training and measuring, read from TOML files and checked."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from move37.records import Finite, UserError, Value, content_id


class Task(Value):
    """One training run: what is learned, for how long, how it is scored.

    `length` is in tokens for text and in key-value pairs for recall; `held_out` counts batches
    of `rows` windows. `sweep` maps a learning rate to the baseline's held-out loss at it, and
    `rate` must be its best entry. `tau` is the standard deviation of true differences between
    designs (nats), by which differences are scaled in the fitness.
    """

    vocabulary: int = Field(ge=4, le=65_536)
    steps: int = Field(ge=1)
    rows: int = Field(ge=1)
    length: int = Field(ge=2)
    held_out: int = Field(ge=1)
    rate: Finite = Field(gt=0)
    sweep: dict[str, Finite]
    tau: Finite = Field(gt=0)
    weight: Finite = Field(gt=0)

    @model_validator(mode="after")
    def _rate_is_the_best_of_the_sweep(self) -> Task:
        best = min(self.sweep, key=lambda rate: self.sweep[rate])
        if float(best) != self.rate:
            raise ValueError(f"rate {self.rate} is not the best of the sweep, which is {best}")
        return self


class Tier(Value):
    """A tier; `seconds` bounds one training run, `baseline_seeds` are those of the noise floor.

    `least` is the gain of held-out text loss, in nats, below which nothing is claimed.
    """

    name: str
    purpose: str
    layers: int = Field(ge=1)
    hidden: int = Field(ge=8)
    heads: int = Field(ge=1)
    expansion: Finite = Field(gt=0)
    warmup_share: Finite = Field(ge=0, le=0.1)
    weight_decay: Finite = Field(ge=0)
    seconds: Finite = Field(gt=0)
    baseline_seeds: int = Field(ge=2)
    least: Finite = Field(gt=0)
    text: Task
    recall: Task

    @property
    def digest(self) -> str:
        """Hash of everything in this tier."""
        return content_id(self.model_dump())


def load_tier(name: str) -> Tier:
    """Read a tier by its name, or from a path that ends in `.toml`.

    Raises:
        UserError: there is no such tier, or its file is not valid.
    """
    if name.endswith(".toml"):
        path = Path(name).expanduser()
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"tier file {path} cannot be read: {error}") from None
        return parse_tier(text, str(path))
    folder = resources.files("move37.evaluation") / "tiers"
    known = sorted(f.name.removesuffix(".toml") for f in folder.iterdir())
    if name not in known:
        raise UserError(
            f"unknown tier {name!r}; there are {', '.join(known)}, or give a .toml file"
        )
    return parse_tier((folder / f"{name}.toml").read_text(), name)


def parse_tier(text: str, source: str) -> Tier:
    """Check the text of a tier file.

    Raises:
        UserError: it is not TOML, or a value is missing, unknown or out of range.
    """
    try:
        return Tier.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"tier {source} is not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise UserError(f"tier {source}, {place}: {first['msg']}") from None
