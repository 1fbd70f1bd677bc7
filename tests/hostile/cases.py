"""The corpus as values: each candidate file with what its head says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.evaluation.gates.bench import ROOT

FOLDER = Path(__file__).parent
KINDS = ("hostile", "wrong", "good")
REQUIRED = ("does", "expect", "policy")
OPTIONAL = ("run", "seconds", "only")
CHOICES = {
    "expect": r"passes|gate( G\d+)+|contained|no gain|timeout|memory|train|audit",
    "policy": r"passes|refused",
    "run": r"check|evaluate",
    "seconds": r"[1-9]\d*",
    "only": r"G\d+",
}
LINE = re.compile(r"# (\w+): (\S.*)")


class BadHead(ValueError):
    """The head of a file is incomplete or says what no head may say."""


@dataclass(frozen=True)
class Case:
    """One candidate: `only` names the single gate that catches it, `seconds` limits its boxes."""

    kind: str
    name: str
    does: str
    source: str
    expect: str
    policy: str = "passes"
    run: str = "check"
    seconds: float | None = None
    only: str | None = None

    @property
    def id(self) -> str:
        """The name under which pytest shows it."""
        return f"{self.kind}/{self.name}"


def read_head(source: str) -> dict[str, str]:
    """Return what the comment lines at the start of a file say.

    Raises:
        BadHead: a key is missing, unknown or told twice, or a value is none of those allowed.
    """
    head: dict[str, str] = {}
    for line in source.splitlines():
        if (match := LINE.fullmatch(line)) is None:
            break
        key, value = match.groups()
        if key in head:
            raise BadHead(f"{key!r} is told twice")
        head[key] = value
    if absent := [key for key in REQUIRED if key not in head]:
        raise BadHead(f"the head lacks {', '.join(absent)}")
    if unknown := head.keys() - {*REQUIRED, *OPTIONAL}:
        raise BadHead(f"the head has unknown keys {', '.join(sorted(unknown))}")
    for key, pattern in CHOICES.items():
        if key in head and re.fullmatch(pattern, head[key]) is None:
            raise BadHead(f"{key} is {head[key]!r}, expected {pattern}")
    return head


def read_case(path: Path) -> Case:
    """Read one file of the corpus."""
    source = path.read_text(encoding="utf-8")
    try:
        head = read_head(source)
    except BadHead as error:
        raise BadHead(f"{path.parent.name}/{path.name}: {error}") from None
    return Case(
        kind=path.parent.name,
        name=path.stem,
        does=head["does"],
        source=honest_base() + source if path.parent.name == "hostile" else source,
        expect=head["expect"],
        policy=head["policy"],
        run=head.get("run", "check"),
        seconds=float(head["seconds"]) if "seconds" in head else None,
        only=head.get("only"),
    )


@cache
def honest_base() -> str:
    """Return the template that hostile cases fall back on, as a class `Honest`.

    It stands in front of each of them, so that a file holds the attack alone, and a difference in
    loss from the root is the attack's.
    """
    return template_source(ROOT).replace("class TokenMixer", "class Honest") + "\n\n"


def templates() -> Iterator[Case]:
    """Return the templates as they are, as good cases."""
    for name in TEMPLATES:
        yield Case("template", name, "is a template", template_source(name), "passes")


@cache
def corpus() -> tuple[Case, ...]:
    """Return every case: the files of the three folders, by name, and the templates."""
    files = [path for kind in KINDS for path in sorted((FOLDER / kind).glob("*.py"))]
    return (*map(read_case, files), *templates())
