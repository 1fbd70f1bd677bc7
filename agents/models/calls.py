"""The journal of a campaign's model calls: a line when one begins, a line when it has ended."""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from move37.records import Finite, UserError, Value

JOURNAL = "calls.jsonl"
Source = Literal["provider", "cache"]
Cap = Literal["usd", "tokens", "calls"]


class Call(Value):
    """One call of a model.

    It is written down when it begins, with the bound of its cost, and again when it has ended: a
    process that is killed between leaves the bound. `assumed` says that the tokens are that bound,
    because nobody told any; `usd` is None where the model has no price.
    """

    call: str
    at: str
    role: str
    experiment: int
    model: str
    chars: int
    input_tokens: int = Field(ge=0)
    cached_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(ge=0)
    usd: Finite | None
    seconds: Finite = 0.0
    ok: bool = False
    source: Source = "provider"
    assumed: bool = False


class Total(Value):
    """Calls and what they cost; `unpriced` ones have no part in `usd`.

    `spared` were answered from a cache, and have no part in anything else.
    """

    calls: int = 0
    failed: int = 0
    assumed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Finite = 0.0
    unpriced: int = 0
    seconds: Finite = 0.0
    spared: int = 0

    @property
    def tokens(self) -> int:
        """Tokens in and out."""
        return self.input_tokens + self.output_tokens

    def plus(self, call: Call) -> Total:
        """Return the total with one more call."""
        if call.source != "provider":
            return self.model_copy(update={"spared": self.spared + 1})
        return Total(
            calls=self.calls + 1,
            failed=self.failed + (not call.ok),
            assumed=self.assumed + call.assumed,
            input_tokens=self.input_tokens + call.input_tokens,
            output_tokens=self.output_tokens + call.output_tokens,
            usd=self.usd + (call.usd or 0.0),
            unpriced=self.unpriced + (call.usd is None),
            seconds=self.seconds + call.seconds,
            spared=self.spared,
        )

    def joined(self, other: Total) -> Total:
        """Return both totals as one."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in Total.model_fields}
        return Total.model_validate(sums)


class Totals(Value):
    """The same calls added up for the campaign, for each role and for each experiment."""

    campaign: Total = Total()
    roles: dict[str, Total] = Field(default_factory=dict)
    experiments: dict[int, Total] = Field(default_factory=dict)


def totals_of(calls: Iterable[Call]) -> Totals:
    """Add up calls, for the campaign and for its parts."""
    campaign = Total()
    roles: dict[str, Total] = defaultdict(Total)
    experiments: dict[int, Total] = defaultdict(Total)
    for call in calls:
        campaign = campaign.plus(call)
        roles[call.role] = roles[call.role].plus(call)
        experiments[call.experiment] = experiments[call.experiment].plus(call)
    return Totals(campaign=campaign, roles=dict(roles), experiments=dict(experiments))


def dollars(usd: float) -> str:
    """Return an amount of money for people; small ones keep their first digits."""
    return f"${usd:,.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.3g}"


def append(journal: Path, call: Call) -> None:
    """Add a line in one write, behind a line of its own where a killed process left half of one."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    line = call.model_dump_json(exclude_defaults=True) + "\n"
    # Not by a buffered file: what it had not written yet would die with the process.
    handle = os.open(journal, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = "\n" + line
        if os.write(handle, (data := line.encode())) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(journal))
    finally:
        os.close(handle)


def read_calls(journal: Path) -> list[Call]:
    """Return the calls of a journal in the order in which they began, each as it was left.

    Half a line of a killed process is passed over; without a file there are none.

    Raises:
        UserError: the file cannot be read, or is of another version.
    """
    try:
        lines = journal.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"the journal {journal} cannot be read: {error.strerror}") from None
    found: dict[str, Call] = {}
    for number, line in enumerate(lines, start=1):
        if not (line.startswith(b"{") and line.endswith(b"}")):
            continue
        try:
            call = Call.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "json_invalid":
                continue
            where = ".".join(str(part) for part in first["loc"])
            raise UserError(
                f"the journal {journal}, line {number}: {where}: {first['msg']}; "
                "it is of another version of move37"
            ) from None
        found[call.call] = call
    return list(found.values())
