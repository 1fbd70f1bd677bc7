"""What models cost: a dated list of prices, and the user's own before it.

A model without a price is not free: its tokens are counted and its money is unknown (`None`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from move37.records import Finite, UserError, Value

UNIT = "USD per million tokens"
MILLION = 1_000_000
Rate = Annotated[Finite, Field(ge=0)]
# What follows a model's name without making it another model: dates, versions, channels.
_EDITION = re.compile(
    r"(?:[-@](?:\d{4}-\d{2}-\d{2}|\d{2}-\d{2,4}|\d{3,8}|latest|preview|v\d+(?::\d+)?|\d+:\d+))*"
)


class Long(Value):
    """The rates of a call whose input has more tokens than `above`."""

    above: int = Field(ge=1)
    input: Rate
    output: Rate


class Price(Value):
    """What a model's tokens cost, USD per million.

    `cached_input` is input that the provider had kept from an earlier call, `cache_write` input
    that it keeps for a later one; None: it costs what all input does.
    """

    input: Rate
    cached_input: Rate | None = None
    cache_write: Rate | None = None
    output: Rate
    long: Long | None = None

    @model_validator(mode="after")
    def _long_calls_cost_no_less(self) -> Price:
        if self.long and (self.long.input < self.input or self.long.output < self.output):
            raise ValueError("the rates of long calls are below the ordinary ones")
        return self

    def of(self, read: int, written: int, cached: int = 0, kept: int = 0) -> float:
        """Return the USD of a call: `read` tokens in, `written` out.

        Of those that were read, `cached` were known to the provider and `kept` are from now on.
        """
        into, out = self._rates(read)
        scale = into / self.input if self.input else 1.0
        known = into if self.cached_input is None else self.cached_input * scale
        keeping = into if self.cache_write is None else self.cache_write * scale
        fresh = max(0, read - cached - kept)
        return (fresh * into + cached * known + kept * keeping + written * out) / MILLION

    def at_most(self, read: int, written: int) -> float:
        """Return the USD that a call cannot pass, whatever of its input is cached or kept."""
        return max(
            self.of(read, written),
            self.of(read, written, cached=read),
            self.of(read, written, kept=read),
        )

    def _rates(self, read: int) -> tuple[float, float]:
        if self.long is not None and read > self.long.above:
            return self.long.input, self.long.output
        return self.input, self.output


class PriceList(Value):
    """A file of prices: the day on which they were looked up, and a price for each name."""

    dated: date
    unit: str
    models: dict[str, Price]

    def find(self, model: str) -> Price | None:
        """Return the price of `provider:name`: the longest listed name that it is an edition of.

        The name is tried as a whole, then without the provider, then without the vendor; at last
        with dashes for dots, because some write claude-sonnet-4.6 for claude-sonnet-4-6.
        """
        for form in _forms(model):
            if (found := _longest(form, self.models)) is not None:
                return self.models[found]
        dashed = {name.replace(".", "-"): price for name, price in self.models.items()}
        for form in _forms(model.replace(".", "-")):
            if (found := _longest(form, dashed)) is not None:
                return dashed[found]
        return None


@dataclass(frozen=True)
class Prices:
    """Lists of prices, the one that counts first."""

    lists: tuple[PriceList, ...]

    def of(self, model: str) -> Price | None:
        """Return the price of a model (`provider:name`), or None where nobody listed it."""
        for one in self.lists:
            if (price := one.find(model)) is not None:
                return price
        return None


def load_prices(own: Path | None = None) -> Prices:
    """Return the prices that come with Move37, behind those of the user's own file.

    Raises:
        UserError: the file cannot be read, has another unit, or breaks the schema.
    """
    return Prices((*((_read(own.expanduser()),) if own else ()), _shipped()))


@cache
def _shipped() -> PriceList:
    return _read(Path(str(resources.files("move37.agents.models"))) / "prices.toml")


def _read(path: Path) -> PriceList:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"price file {path} cannot be read: {error}") from None
    if found.get("unit") != UNIT:
        raise UserError(
            f"price file {path} has unit = {found.get('unit')!r}: "
            f"give its prices in {UNIT!r} and say so"
        )
    try:
        return PriceList.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"price file {path}: {where}: {first['msg']}") from None


def _forms(model: str) -> Iterator[str]:
    yield model
    bare = model.partition(":")[2]
    if bare:
        yield bare
    if "/" in model:
        yield model.rpartition("/")[2]


def _longest(model: str, listed: Iterable[str]) -> str | None:
    return max((name for name in listed if _is_edition(model, name)), key=len, default=None)


def _is_edition(model: str, name: str) -> bool:
    """Whether a model is this listed one, perhaps with a date; `provider:` lists all of its own."""
    if name.endswith(":"):
        return model.startswith(name)
    return model.startswith(name) and _EDITION.fullmatch(model[len(name) :]) is not None
