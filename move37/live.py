"""The live board of a running campaign: told by many threads, silent off a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from move37.display import UNWALLED, console, duration, leaf, plain
from move37.records import CampaignConfig, Experiment, Progress

if TYPE_CHECKING:
    from move37.graph.asking import ApprovalWanted

SAID = {"y": True, "yes": True, "n": False, "no": False}
# How many ended experiments the board keeps.
KEPT = 6


@dataclass(frozen=True)
class _Line:
    """One experiment on the board; `began` and `origin` say since when and which step it trains."""

    progress: Progress
    since: float
    began: float
    origin: int

    def left(self, now: float) -> str:
        """Return the time that the training of this task still needs."""
        done = self.progress.step - self.origin
        if done <= 0 or not self.progress.total:
            return ""
        seconds = (now - self.began) / done * (self.progress.total - self.progress.step)
        return f"{duration(max(0.0, seconds))} left"


class LiveBoard:
    """Where each running experiment stands; told by many threads, silent off a terminal."""

    def __init__(
        self,
        config: CampaignConfig,
        terminal: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._console = terminal or console()
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()
        self._running: dict[tuple[int, str], _Line] = {}
        self._ended: dict[int, Text] = {}
        self._isolation = Text()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self.view,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, progress: Progress) -> None:
        """Take one sign of life."""
        # Seeds of the baseline run side by side as experiment 0; `seed 3 text` tells them apart.
        number = progress.experiment
        place = (number, "" if number else progress.detail[:7])
        with self._lock:
            if progress.node == "isolation":
                self._isolation = _walls(progress)
                return
            if number:
                self._running = {key: line for key, line in self._running.items() if key[0]}
            if progress.node == "archive" and progress.event == "ended":
                self._end(place, progress)
            elif not number and progress.step == progress.total:
                # The other task of this seed, or another seed, comes next.
                self._running.pop(place, None)
            else:
                self._running[place] = self._follow(self._running.get(place), progress)

    def finish(self, experiment: Experiment) -> None:
        """Show a finished experiment with its result."""
        with self._lock:
            self._ended[experiment.number] = Text("  ").append_text(leaf(experiment))

    def ask(self, question: ApprovalWanted) -> bool:
        """Ask on the terminal whether a design is to be trained; the board makes room meanwhile.

        Raises:
            KeyboardInterrupt: the input ended.
        """
        if self._live:
            self._live.stop()
        self._console.print(_question(question))
        try:
            while (said := self._console.input("train it? (y/n) ").strip().lower()) not in SAID:
                self._console.print("answer y or n")
        except EOFError:
            raise KeyboardInterrupt from None
        finally:
            if self._live:
                self._live.start()
        return SAID[said]

    def view(self) -> RenderableType:
        """Return the board as it stands."""
        now = self._clock()
        table = Table.grid(padding=(0, 2))
        with self._lock:
            for (number, _seed), line in sorted(self._running.items()):
                table.add_row(*_board_row(number, line, now))
            ended = tuple(self._ended.values())
            isolation = (self._isolation,) if self._isolation else ()
            count = f"{len(ended)} ended here, {self._config.experiments} planned"
        spent = duration(now - self._start)
        head = Text(f"{self._config.name}  {count}, {spent}", style="bold")
        return Group(head, *isolation, *ended[-KEPT:], table)

    def _follow(self, known: _Line | None, progress: Progress) -> _Line:
        now = self._clock()
        since = known.since if known else now
        if known and _same_run(known.progress, progress):
            return _Line(progress, since, known.began, known.origin)
        return _Line(progress, since, now, progress.step)

    def _end(self, place: tuple[int, str], progress: Progress) -> None:
        line = self._running.pop(place, None)
        spent = f" after {duration(self._clock() - line.since)}" if line else ""
        text = Text(f"  {progress.experiment} archived{spent}  ", style="dim")
        self._ended.setdefault(progress.experiment, text.append_text(plain(progress.detail)))


def _question(question: ApprovalWanted) -> RenderableType:
    head = Text(f"experiment {question.experiment}: ", style="bold").append_text(
        plain(question.name)
    )
    gains = f"expected gain {question.expected_gain:.4f} nats per token"
    if question.predicted_gain is not None:
        gains += f", the judge predicts {question.predicted_gain:.4f}"
    return Group(head, plain(question.motivation), Text(f"{gains}; {question.lines} lines of code"))


def _walls(progress: Progress) -> Text:
    """Return the header's line on isolation: what is missing, and nothing when nothing is."""
    if progress.event == "off":
        return Text(f"Candidates run {UNWALLED}", style="bold white on red")
    told = plain(f"isolation {progress.detail}", "yellow")
    return Text() if progress.event == "complete" else told


def _same_run(before: Progress, now: Progress) -> bool:
    return (before.node, before.detail) == (now.node, now.detail) and before.step <= now.step


def _board_row(number: int, line: _Line, now: float) -> tuple[RenderableType, ...]:
    progress = line.progress
    steps = f"step {progress.step}/{progress.total}" if progress.total else ""
    loss = "" if progress.loss is None else f"loss {progress.loss:.3f}"
    name = f"experiment {number}" if number else "baseline"
    told = plain(progress.detail or (progress.event if progress.event != "started" else ""))
    waited = duration(now - line.since)
    return (f"  {name}", Text(progress.node, "cyan"), told, steps, loss, waited, line.left(now))
