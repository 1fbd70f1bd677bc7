"""How well this machine can isolate: what is asked for, what it offers, and what an attack shows.

`MOVE37_ISOLATION` is `strict` (refuse where a wall is missing), `auto` (take what there is, but no
less than a filter of system calls and one wall before the files) or `off` (clean environment and
limits only, said loudly). What was obtained is stamped into every record.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from move37.evaluation.isolation import canaries, walls
from move37.evaluation.isolation.nursery import Limits, Nursery, clean_environment
from move37.evaluation.isolation.walls import OPTIONAL, WALLS, Wall
from move37.records import UserError, Value

Mode = Literal["strict", "auto", "off"]
ATTACK_SECONDS = 20.0
ADVICE = "on Debian or Ubuntu: apt install bubblewrap; see docs/isolation.md"


class Isolation(Value):
    """What candidates are run behind.

    `missing` gives the reason for each wall that is not raised, `open` what each attack on our
    own box obtained.
    """

    mode: Mode
    raised: tuple[Wall, ...]
    missing: dict[Wall, str]
    open: dict[str, str]

    @property
    def tier(self) -> str:
        """The name that is stamped into records."""
        return walls.tier_name(self.raised)

    @property
    def complete(self) -> bool:
        """Whether every wall stands and no attack got anything."""
        return not self.missing and not self.open

    @property
    def remark(self) -> str:
        """One line on what is missing, empty where nothing is."""
        absent = [f"no {wall} ({why})" for wall, why in self.missing.items()]
        return "; ".join([*absent, *(f"a candidate {attack}" for attack in self.open)])


def choose(mode: Mode, environment: Mapping[str, str]) -> tuple[frozenset[Wall], dict[Wall, str]]:
    """Return the walls to raise and why the others are missing.

    Raises:
        UserError: the machine does not offer what the mode asks for.
    """
    if mode == "off":
        low = dict.fromkeys((*OPTIONAL, "capabilities"), "MOVE37_ISOLATION=off")
        return frozenset(WALLS) - low.keys(), low
    missing = walls.missing(clean_environment(environment))
    raised = frozenset(WALLS) - missing.keys()
    reasons = "; ".join(f"{wall}: {why}" for wall, why in missing.items())
    if mode == "strict" and missing:
        raise UserError(f"MOVE37_ISOLATION=strict, but {reasons}; {ADVICE}")
    if not raised >= {"seccomp"} or not raised & {"landlock", "bubblewrap"}:
        raise UserError(
            f"this machine cannot isolate candidates ({reasons}); use Linux or WSL, "
            "or set MOVE37_ISOLATION=off to run code that you trust"
        )
    return raised, missing


@contextmanager
def open_nursery(mode: Mode) -> Iterator[tuple[Nursery, Isolation]]:
    """Start a warm parent, attack a box of it, and yield both it and what was found.

    Raises:
        UserError: the machine does not offer what the mode asks for, or the attack got through
            although `strict` was asked for.
    """
    raised, missing = choose(mode, os.environ)
    with Nursery(raised) as nursery:
        found = attack(nursery)
        ordered = tuple(wall for wall in WALLS if wall in raised)
        isolation = Isolation(mode=mode, raised=ordered, missing=missing, open=found)
        if mode == "strict" and found:
            raise UserError(f"MOVE37_ISOLATION=strict, but {isolation.remark}; {ADVICE}")
        yield nursery, isolation


def attack(nursery: Nursery) -> dict[str, str]:
    """Run the canaries in a box and return what they obtained."""
    with canaries.traps() as traps, nursery.open_box(Limits(seconds=ATTACK_SECONDS)) as box:
        box.send({"op": "attack", "traps": traps.model_dump()})
        return {str(name): str(got)[:200] for name, got in box.receive_json().items()}
