"""`move37 check --gallery`: every gate on every program of a published list, and the totals.

A program that fails, is refused or runs out of time is data like any other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from move37.display import duration, plain
from move37.records import Failed, GateReport, GateResult, UserError

# The best known gallery, 106 programs with pictures, has under four million bytes.
FILE_LIMIT = 256 << 20
CODE = ("program", "code", "source")
NAME = ("name", "name_new", "title", "id", "index")
LISTS = ("programs", "results", "data", "elements", "items", "gallery")
WIDTH = 36
# Gate by id: passed, failed, or raised.
Verdict = Mapping[str, str]
KINDS = ("passed", "failed", "raised", "missing")


@dataclass(frozen=True)
class Program:
    """One entry of a gallery."""

    name: str
    source: str


@dataclass(frozen=True)
class Audited:
    """What the gates said of one program."""

    program: Program
    result: GateReport | Failed

    @property
    def gates(self) -> tuple[GateResult, ...]:
        """The gates that were reached: all of them, but for a refusal or the end of time."""
        report = self.result.gates if isinstance(self.result, Failed) else self.result
        return report.gates if report else ()

    @property
    def cut_short(self) -> str:
        """The stage at which the ladder ended before its last gate, else nothing."""
        match self.result:
            case Failed(stage=stage) if stage != "gate":
                return stage
            case _:
                return ""

    @property
    def passed(self) -> bool:
        """Whether every gate was reached and passed."""
        return not self.cut_short and bool(self.gates) and all(g.passed for g in self.gates)

    def verdicts(self) -> dict[str, str]:
        """Return passed or failed for each gate that was reached, raised where it has no figure."""
        return {
            gate.id: "passed" if gate.passed else "raised" if gate.figure is None else "failed"
            for gate in self.gates
        }


# --- reading -----------------------------------------------------------------------------------


def read_gallery(file: Path) -> list[Program]:
    """Read the programs of a JSON file.

    A list of objects with a name and a program is expected, as it is or under a key of an outer
    object; an object from names to programs or to such objects will do, and a list of programs.

    Raises:
        UserError: the file cannot be read, or an entry holds no program.
    """
    try:
        size = file.stat().st_size
        if size > FILE_LIMIT:
            raise UserError(f"{file}: has {size:,} bytes, at most {FILE_LIMIT:,} are read")
        told = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: is not JSON: {str(error)[:200]}") from None
    programs = [_program(file, at, entry) for at, entry in enumerate(_entries(file, told))]
    if not programs:
        raise UserError(f"{file}: is an empty gallery; expected a list of programs")
    return programs


def _entries(file: Path, told: object) -> list[object]:
    match told:
        case list():
            return told
        case dict() if key := next((k for k in LISTS if isinstance(told.get(k), list)), None):
            return list(told[key])
        case dict() if not any(name in told for name in CODE):
            return [_named(name, value) for name, value in told.items()]
        case dict():
            return [told]
        case _:
            kind = type(told).__name__
            raise UserError(
                f"{file}: holds a {kind}, expected a list of objects with 'name' and 'program'"
            )


def _named(name: str, value: object) -> object:
    if isinstance(value, dict):
        return {"name": name, **value}
    return {"name": name, "program": value}


def _program(file: Path, at: int, entry: object) -> Program:
    fields: Mapping[str, Any] = {"program": entry} if isinstance(entry, str) else {}
    fields = entry if isinstance(entry, dict) else fields
    source = next((fields[key] for key in CODE if isinstance(fields.get(key), str)), None)
    if source is None or not source.strip():
        held = f"has {', '.join(map(repr, list(fields)[:6]))}" if fields else f"is {entry!r:.40}"
        raise UserError(f"{file}: entry {at} {held}, expected its program under {_either(CODE)}")
    name = next((str(fields[key]) for key in NAME if fields.get(key) not in (None, "")), f"#{at}")
    return Program(name, source)


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(map(repr, names[:-1]))} or {names[-1]!r}"


# --- judging -----------------------------------------------------------------------------------


def audit(
    programs: Sequence[Program], check: Callable[[str], GateReport | Failed], workers: int
) -> Iterator[Audited]:
    """Have all sources checked, `workers` side by side; yield each as it ends."""
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        asked = {pool.submit(check, p.source): p for p in programs}
        for done in as_completed(asked):
            yield Audited(asked[done], done.result())
    finally:
        # Whoever stops in the middle also ends the evaluator, and with it those that still run.
        pool.shutdown(wait=False, cancel_futures=True)


# --- showing -----------------------------------------------------------------------------------


def line(audited: Audited, number: int, of: int) -> Text:
    """Return one program as one line."""
    told = Text(f"{number:{len(str(of))}}/{of}  ", no_wrap=True, overflow="ellipsis")
    told.append_text(plain(f"{' '.join(audited.program.name.split())[:WIDTH]:{WIDTH}}  "))
    if audited.cut_short and isinstance(audited.result, Failed):
        reason = " ".join(audited.result.reason.split())
        return told.append_text(plain(f"{audited.cut_short}: {reason}", "red"))
    if audited.passed:
        return told.append(f"passed all {len(audited.gates)} gates", style="green")
    missed = {"failed": "", "raised": " raised"}
    named = (id_ + missed[kind] for id_, kind in audited.verdicts().items() if kind in missed)
    return told.append(f"failed {', '.join(named)}", style="yellow")


def totals(found: Sequence[Audited]) -> dict[str, Any]:
    """Count what a gallery holds: programs by verdict, by finding, and verdicts by gate."""
    names = {gate.id: gate.name for audited in found for gate in audited.gates}
    verdicts = [audited.verdicts() for audited in found]
    gates = {}
    for gate in sorted(names, key=lambda id_: int(id_[1:])):
        counted = Counter(verdict.get(gate, "missing") for verdict in verdicts)
        gates[gate] = {"name": names[gate], **{kind: counted[kind] for kind in KINDS}}
    return {
        "programs": len(found),
        "passed": sum(audited.passed for audited in found),
        "cut_short": dict(Counter(a.cut_short for a in found if a.cut_short)),
        "findings": {words: sum(map(holds, verdicts)) for words, holds in FINDINGS.items()},
        "gates": gates,
    }


def _leaks(verdict: Verdict) -> bool:
    return "failed" in (verdict.get("G1"), verdict.get("G2"))


# What a reader wants to know first. A gate that raised has measured nothing, so it counts nowhere.
FINDINGS: dict[str, Callable[[Verdict], bool]] = {
    "see later tokens (G1, G2)": _leaks,
    "see the total length, but not later tokens (G3)": lambda v: (
        v.get("G3") == "failed" and not _leaks(v)
    ),
    "keep something from call to call (G8)": lambda v: v.get("G8") == "failed",
    "compute something else after save and load (G18)": lambda v: v.get("G18") == "failed",
    "decode token by token as they compute in parallel (G10)": lambda v: v.get("G10") == "passed",
    "treat a padded row as it is alone (G9)": lambda v: v.get("G9") == "passed",
}


def summary(found: Sequence[Audited], seconds: float) -> RenderableType:
    """Show the totals: verdicts by gate, then what they mean."""
    told = totals(found)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("gate", no_wrap=True)
    table.add_column("what it checks", overflow="fold")
    for kind in KINDS:
        table.add_column(kind, justify="right", no_wrap=True)
    for gate, row in told["gates"].items():
        table.add_row(gate, plain(row["name"]), *(str(row[kind] or "-") for kind in KINDS))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(justify="right", no_wrap=True)
    facts.add_column(overflow="fold")
    for words, count in told["findings"].items():
        facts.add_row(str(count), words)
    cut = "".join(f", {count} ended at {stage}" for stage, count in told["cut_short"].items())
    head = f"{len(found)} programs in {duration(seconds)}: {told['passed']} pass every gate{cut}"
    return Group(table, facts, Text(f"\n{head}", style="bold"))
