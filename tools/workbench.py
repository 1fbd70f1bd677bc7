"""What the tools of one experiment act on, handed to them by argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from move37.records import Cognition, Experiment, Failed, GateReport, Measured


@dataclass(frozen=True)
class Workbench:
    """The candidate's file, and what an agent may ask for while it works on it.

    No tool takes a path from a model: `path` is the only file that is ever written. `experiment`
    gives None for what this one may not see, and `template` raises ValueError for an unknown name.
    """

    path: Path
    check: Callable[[str], GateReport | Failed]
    rehearse: Callable[[str], Measured | Failed]
    search: Callable[[str, int], tuple[Cognition, ...]]
    experiment: Callable[[int], Experiment | None]
    template: Callable[[str], str]
