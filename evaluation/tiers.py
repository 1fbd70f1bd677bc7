"""Scales of training and measuring, read from TOML files and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from move37.records import Finite, UserError, Value, content_id
from move37.settings import load_settings

FINAL = "-final"


class Task(Value):
    """One training run: what is learned, for how long, how it is scored.

    `length` is in tokens for text and in key-value pairs for recall; `held_out` counts batches
    of `rows` windows. A step's rows go through the model in so many `parts`, whose gradients add
    up, where they do not fit the memory at once. `tau` is the standard deviation of true
    differences between designs (nats), by which differences are scaled in the fitness; `assumed`
    where nobody has measured it.

    `rate_source` says where `rate` comes from. `swept`: `sweep` maps learning rates to the
    baseline's held-out loss at each, and `rate` must be the best of them. `paper`: a source used
    it, and `rate_origin` names that. `unmeasured`: a choice, with its reason in `rate_origin`.
    """

    vocabulary: int = Field(ge=4, le=65_536)
    steps: int = Field(ge=1)
    rows: int = Field(ge=1)
    parts: int = Field(default=1, ge=1)
    length: int = Field(ge=2)
    held_out: int = Field(ge=1)
    rate: Finite = Field(gt=0)
    rate_source: Literal["swept", "paper", "unmeasured"] = "swept"
    rate_origin: str = ""
    sweep: dict[str, Finite] = Field(default_factory=dict)
    tau: Finite = Field(gt=0)
    tau_source: Literal["measured", "assumed"] = "measured"
    weight: Finite = Field(gt=0)

    @model_validator(mode="after")
    def _parts_are_equal(self) -> Task:
        if self.rows % self.parts:
            raise ValueError(f"{self.rows} rows cannot be split into {self.parts} equal parts")
        return self

    @model_validator(mode="after")
    def _rate_has_an_origin(self) -> Task:
        if self.rate_source != "swept":
            if self.sweep:
                raise ValueError(f"a rate of the source {self.rate_source!r} has no sweep")
            if not self.rate_origin:
                raise ValueError(f"a rate of the source {self.rate_source!r} needs a rate_origin")
            return self
        if not self.sweep:
            raise ValueError("a swept rate needs a sweep; otherwise name its rate_source")
        best = min(self.sweep, key=lambda rate: self.sweep[rate])
        if float(best) != self.rate:
            raise ValueError(f"rate {self.rate} is not the best of the sweep, which is {best}")
        return self


class OwnText(Value):
    """Text as bytes: the standard library's sources, or what `--text` names."""

    kind: Literal["text"] = "text"


class Dataset(Value):
    """A Hugging Face dataset, streamed, as tokens of a byte-level BPE.

    `path` is its name on the hub, or a format (`parquet`, `json`, `arrow`, `text`) whose local
    `files` are named; relative ones are taken from the folder of the tier's file. `field` is the
    column with the text, `tokens` how many of them train. The BPE is read from the file
    `tokenizer`, or trained on the first `tokenizer_bytes` of the training documents.
    """

    kind: Literal["dataset"] = "dataset"
    path: str = Field(min_length=1)
    config: str = ""
    revision: str = ""
    split: str = "train"
    field: str = "text"
    files: tuple[str, ...] = ()
    tokens: int = Field(ge=1)
    tokenizer: str = ""
    tokenizer_bytes: int = Field(default=100_000_000, ge=1)


Data = Annotated[OwnText | Dataset, Field(discriminator="kind")]


class Promotion(Value):
    """Who goes on from this tier, and how.

    The best `share` of a batch of screened candidates runs at `seeds` paired seeds, finalists on
    `holdout_seeds` that no selection knew, candidate and twin at `rate` times each of `rates`.
    A `random_share` goes on whatever it scored, so that the ledger of fidelity stays unbiased.
    `to` names the next tier, none for the last. Finalists train on `finals` times the tokens.
    """

    to: str = ""
    share: Finite = Field(default=1 / 3, gt=0, le=1)
    seeds: int = Field(default=3, ge=2)
    holdout_seeds: int = Field(default=8, ge=4)
    rates: tuple[Finite, ...] = (1 / 3, 1.0, 3.0)
    random_share: Finite = Field(default=0.05, ge=0, le=1)
    finals: int = Field(default=1, ge=1)

    @field_validator("rates")
    @classmethod
    def _own_rate_among_them(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        if 1.0 not in rates:
            raise ValueError("1.0, the tier's own rate, must be among the rates")
        return rates


class Tier(Value):
    """A tier; `seconds` bounds one training run, `baseline_seeds` are those of the noise floor.

    `least` is the gain of held-out text loss, in nats, below which nothing is claimed.
    `benchmark_examples` is how many examples of a benchmark are asked, 0 for what the command
    asks by default.
    """

    name: str
    purpose: str
    device: Literal["cpu", "cuda"] = "cpu"
    layers: int = Field(ge=1)
    hidden: int = Field(ge=8)
    heads: int = Field(ge=1)
    expansion: Finite = Field(gt=0)
    warmup_share: Finite = Field(ge=0, le=0.1)
    weight_decay: Finite = Field(ge=0)
    seconds: Finite = Field(gt=0)
    baseline_seeds: int = Field(ge=2)
    least: Finite = Field(gt=0)
    benchmark_examples: int = Field(default=0, ge=0)
    data: Data = OwnText()
    promotion: Promotion = Promotion()
    text: Task
    recall: Task

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Tier:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} cannot be split over {self.heads} heads")
        if isinstance(self.data, OwnText) and self.text.vocabulary != 256:
            raise ValueError("text as bytes has a vocabulary of 256; a dataset has a BPE")
        return self

    @property
    def digest(self) -> str:
        """Hash of everything in this tier."""
        return content_id(self.model_dump())

    def final(self) -> Tier:
        """Return the tier of the finalists: the same on `finals` times the tokens."""
        longer, times = self.text.steps * self.promotion.finals, self.promotion.finals
        data = self.data
        if isinstance(data, Dataset):
            data = data.model_copy(update={"tokens": data.tokens * times})
        return self.model_copy(
            update={
                "name": f"{self.name}{FINAL}",
                "seconds": self.seconds * times,
                "data": data,
                "text": self.text.model_copy(update={"steps": longer}),
                "promotion": self.promotion.model_copy(update={"to": "", "finals": 1}),
            }
        )


def load_tier(name: str) -> Tier:
    """Read a tier by its name, or from a path that ends in `.toml`.

    A name may be of a shipped tier or of a file in `tiers/` of `MOVE37_HOME`; `NAME-final` is what
    the finalists of a tier run at, where that has another budget.

    Raises:
        UserError: there is no such tier, or its file is not valid.
    """
    if name.endswith(".toml"):
        return _read(Path(name).expanduser())
    own = own_tiers()
    known = {**own, **shipped_tiers()}
    if (stem := name.removesuffix(FINAL)) != name and name not in known and stem in known:
        tier = load_tier(stem)
        if tier.promotion.finals == 1:
            raise UserError(f"tier {stem} has no budget of its own for finalists; use {stem}")
        return tier.final()
    if name not in known:
        raise UserError(
            f"unknown tier {name!r}; there are {', '.join(known)}, or give a .toml file"
        )
    if name in own and name in shipped_tiers():
        raise UserError(f"{own[name]} has the name of a shipped tier; rename it")
    tier = _read(known[name])
    if tier.name != name:
        raise UserError(f"{known[name]} calls itself {tier.name!r}; name it as the file: {name!r}")
    return tier


def shipped_tiers() -> dict[str, Path]:
    """Return the tiers that come with Move37, small ones first."""
    folder = Path(str(resources.files("move37.evaluation"))) / "tiers"
    order = ("smoke", "laptop", "gpu", "paper-explore", "paper-verify")
    return {name: folder / f"{name}.toml" for name in order}


def own_tiers() -> dict[str, Path]:
    """Return the tiers that the user put into `tiers/` of `MOVE37_HOME`."""
    folder = load_settings().home.expanduser() / "tiers"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _read(path: Path) -> Tier:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"tier file {path} cannot be read: {error}") from None
    return _beside(parse_tier(text, str(path)), path)


def _beside(tier: Tier, path: Path) -> Tier:
    """Make the files that a tier names absolute: relative ones stand beside its own file."""
    data = tier.data
    if not isinstance(data, Dataset):
        return tier
    folder = path.resolve().parent

    def place(name: str) -> str:
        return str(folder / Path(name).expanduser()) if name else ""

    found = {"files": tuple(place(f) for f in data.files), "tokenizer": place(data.tokenizer)}
    return tier.model_copy(update={"data": data.model_copy(update=found)})


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
        raise UserError(f"tier {source}, {_first(error.errors()[0])}") from None


def _first(error: Mapping[str, object]) -> str:
    loc, message = error["loc"], error["msg"]
    assert isinstance(loc, tuple)
    # The name of a kind of data is not a key of the file.
    parts = [str(part) for part in loc if (*loc[:1], part) != ("data", "dataset")]
    return f"{'.'.join(parts) or 'file'}: {message}"
