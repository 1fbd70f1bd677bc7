"""What a campaign's model calls cost: counted before each call and after it, kept on disk.

A call is admitted only when what was spent, what the calls under way may still cost and what this
one may cost stay within the caps together. So a cap is not passed as long as an answer is no
longer than was asked for and its prompt no larger than the bound that is read off its characters.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from move37.agents.models.calls import (
    Call,
    Cap,
    Source,
    Total,
    Totals,
    append,
    dollars,
    read_calls,
    totals_of,
)
from move37.agents.models.prices import Price, Prices, load_prices
from move37.records import BudgetSpent, Caps, Finite, UserError, Value

# Tokens that a provider puts around a request: roles, its own words on tools, a schema as text.
OVERHEAD = 600
# Tokens a character before a model has shown its own ratio: half again what the densest request
# took (0.37 by the tokenizer of Llama 2; by those of GPT-4o, Claude and DeepSeek all lie between
# 0.23 and 0.32), for names, other scripts and other tokenizers.
FIRST_RATIO = 0.55
# A model's largest ratio so far, with room for a text that is denser; prose has at least the least.
ROOM, LEAST_RATIO = 1.25, 0.2
# Shorter requests say little of the ratio: the overhead outweighs their text.
TELLING = 2_000


class Spent(Value):
    """What a call turned out to cost; None: nobody knows how many tokens, so the bound is counted.

    A request that a provider refused has cost none; of one that was given up, or was answered
    without a count, nobody knows. Of the input, `cached_tokens` were known to the provider and
    `kept_tokens` are from now on.
    """

    input_tokens: int | None = Field(default=0, ge=0)
    output_tokens: int | None = Field(default=0, ge=0)
    cached_tokens: int = Field(default=0, ge=0)
    kept_tokens: int = Field(default=0, ge=0)
    seconds: Finite = 0.0
    ok: bool = True
    source: Source = "provider"


@dataclass(frozen=True)
class Reservation:
    """Leave to make one call; `call` holds the bound of its cost."""

    call: Call
    price: Price | None


class Ledger:
    """The account of one campaign; safe to share between threads, for one process at a time."""

    def __init__(
        self, caps: Caps | None = None, prices: Prices | None = None, journal: Path | None = None
    ) -> None:
        """Take up the account where the journal leaves it; without one, nothing is kept on disk.

        Raises:
            UserError: the journal cannot be read, or is of another version.
        """
        self.caps = caps or Caps()
        self._prices = prices or load_prices()
        self._journal = journal
        self._change = threading.Condition()
        self._under_way: dict[str, Call] = {}
        self._ratios: dict[str, float] = {}
        self._ended: list[Call] = []
        self._total = Total()
        for call in read_calls(journal) if journal else ():
            self._count(call)

    def reserve(
        self, *, role: str, experiment: int, model: str, chars: int, max_output: int
    ) -> Reservation:
        """Return leave to make a call, once the caps allow it whatever it may cost.

        `chars` are the characters of the whole request, `max_output` the tokens of the longest
        answer. While only calls under way stand against it, it waits for them; so each has to be
        settled, whatever becomes of it, before its thread asks again.

        Raises:
            BudgetSpent: it could pass a cap although nothing else is under way.
            UserError: money is capped, and the model has no price.
        """
        price = self._prices.of(model)
        if price is None and self.caps.usd is not None:
            raise UserError(uncounted([model]))
        with self._change:
            while True:
                read = self._bound(model, chars)
                call = Call(
                    call=secrets.token_hex(6),
                    at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    role=role,
                    experiment=experiment,
                    model=model,
                    chars=chars,
                    input_tokens=read,
                    output_tokens=max_output,
                    usd=price.at_most(read, max_output) if price else None,
                    assumed=True,
                )
                self._require(call)
                if not self._held_back(call):
                    self._under_way[call.call] = call
                    self._write(call)
                    return Reservation(call, price)
                self._wait()

    def settle(self, reservation: Reservation, spent: Spent) -> float | None:
        """Count a call that has ended; return its USD, None where the model has no price."""
        call = _settled(reservation, spent)
        with self._change:
            del self._under_way[call.call]
            self._count(call)
            self._write(call)
            self._change.notify_all()
        return call.usd

    def totals(self) -> Totals:
        """Return what all calls that have ended cost, those of earlier runs included."""
        with self._change:
            return totals_of(self._ended)

    def _wait(self) -> None:
        self._change.wait()

    def _count(self, call: Call) -> None:
        self._ended.append(call)
        self._total = self._total.plus(call)
        if call.ok and not call.assumed and call.chars >= TELLING:
            shown = (call.input_tokens - OVERHEAD) / call.chars
            known = self._ratios.get(call.model, LEAST_RATIO)
            self._ratios[call.model] = max(shown, known)

    def _bound(self, model: str, chars: int) -> int:
        """Return how many tokens a request has at most."""
        known = self._ratios.get(model)
        ratio = FIRST_RATIO if known is None else known * ROOM
        return OVERHEAD + math.ceil(chars * ratio)

    def _require(self, call: Call) -> None:
        cap = passed(self.caps, self._total.plus(call))
        if cap is not None:
            raise BudgetSpent(_told(cap, self.caps, self._total, call), cap)

    def _held_back(self, call: Call) -> bool:
        together = self._total.plus(call)
        for other in self._under_way.values():
            together = together.plus(other)
        return passed(self.caps, together) is not None

    def _write(self, call: Call) -> None:
        if self._journal is not None:
            append(self._journal, call)


def _settled(reservation: Reservation, spent: Spent) -> Call:
    """Return the call as it ended; whatever is not known stays at its bound."""
    bound, price = reservation.call, reservation.price
    known = spent.input_tokens is not None and spent.output_tokens is not None
    read = bound.input_tokens if spent.input_tokens is None else spent.input_tokens
    written = bound.output_tokens if spent.output_tokens is None else spent.output_tokens
    usd = bound.usd
    if spent.source != "provider":
        usd = 0.0
    elif price is not None and known:
        usd = price.of(read, written, spent.cached_tokens, spent.kept_tokens)
    return bound.model_copy(
        update={
            "input_tokens": read,
            "cached_tokens": spent.cached_tokens,
            "output_tokens": written,
            "usd": usd,
            "seconds": spent.seconds,
            "ok": spent.ok,
            "source": spent.source,
            "assumed": not known,
        }
    )


def passed(caps: Caps, total: Total) -> Cap | None:
    """Return the first cap that a total lies above."""
    if caps.usd is not None and total.usd > caps.usd:
        return "usd"
    if caps.tokens is not None and total.tokens > caps.tokens:
        return "tokens"
    if caps.calls is not None and total.calls > caps.calls:
        return "calls"
    return None


def uncounted(models: list[str]) -> str:
    """Return the line for a user whose money cannot be counted."""
    return (
        f"money cannot be counted for {', '.join(models)}: "
        "give prices by MOVE37_PRICES=FILE, or use --max-tokens"
    )


def _told(cap: Cap, caps: Caps, total: Total, call: Call) -> str:
    if cap == "calls":
        return f"{total.calls:,} of {caps.calls:,} calls are spent"
    if cap == "usd":
        spent = f"{dollars(total.usd)} of {dollars(caps.usd or 0.0)}"
        most = dollars(call.usd or 0.0)
    else:
        spent = f"{total.tokens:,} of {caps.tokens:,} tokens"
        most = f"{call.input_tokens + call.output_tokens:,}"
    return f"{spent} are spent, and the next call of the {call.role} may take {most}"
