"""What the tools of one experiment act on, handed to them by argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from move37.records import Cognition, Experiment, Failed, GateReport, Lesson, Measured


@dataclass(frozen=True)
class Workbench:
    """The candidate's file, and what an agent may ask for while it works on it.

    No tool takes a path from a model: `path` is the only file that is ever written. `experiment`
    gives None for what this one may not see, and `template` raises ValueError for an unknown name.
    `search` and `recall` find lessons of papers and of this campaign; a campaign that runs without
    them has None.
    """

    path: Path
    check: Callable[[str], GateReport | Failed]
    rehearse: Callable[[str], Measured | Failed]
    search: Callable[[str, int, Sequence[str], int | None], tuple[Cognition, ...]] | None
    recall: Callable[[str, int], tuple[Lesson, ...]] | None
    experiment: Callable[[int], Experiment | None]
    template: Callable[[str], str]
