"""The caps of a campaign as a user writes them."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from move37.records import Caps, UserError

MaxUsd = Annotated[
    str | None, typer.Option(help="Make no model call that could pass this much money: 2.50.")
]
MaxTokens = Annotated[str | None, typer.Option(help="The same for tokens in and out: 500k, 2M.")]
MaxCalls = Annotated[int | None, typer.Option(help="The same for calls of models.", min=1)]
COUNTS = {"": 1, "k": 1_000, "M": 1_000_000}


def merged(known: Caps, asked: Caps) -> Caps:
    """Return the caps of a stored campaign, changed where others are asked for."""
    return known.model_copy(update=asked.model_dump(exclude_none=True))


def parse_caps(usd: str | None, tokens: str | None, calls: int | None) -> Caps:
    """Return the caps of texts such as `2.50` and `500k`.

    Raises:
        UserError: a text is not written like that, or allows nothing.
    """
    return Caps(
        usd=_amount(usd) if usd is not None else None,
        tokens=_count(tokens) if tokens is not None else None,
        calls=calls,
    )


def _amount(text: str) -> float:
    if not re.fullmatch(r"\$?\d{0,9}\.?\d{1,9}", text) or not float(text.lstrip("$")):
        raise UserError(f"--max-usd {text}: write dollars above zero, such as 2.50")
    return float(text.lstrip("$"))


def _count(text: str) -> int:
    parts = re.fullmatch(r"(\d{0,12}\.?\d{1,9})([kM]?)", text)
    count = round(float(parts[1]) * COUNTS[parts[2]]) if parts else 0
    if not count:
        raise UserError(f"--max-tokens {text}: write a number above zero, such as 500k or 2M")
    return count
