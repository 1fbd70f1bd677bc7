"""What became of a case in real boxes, and whether that is what its head expects."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from move37.arch_templates.catalog import template_source
from move37.evaluation.data import load_corpus
from move37.evaluation.evaluate import Evaluator, Run, check, ignore
from move37.evaluation.gates.bench import ROOT
from move37.evaluation.gates.ladder import LadderFailure, run_ladder
from move37.evaluation.gates.thresholds import GATE_SECONDS
from move37.evaluation.isolation.nursery import BoxFailure, Nursery
from move37.evaluation.tiers import load_tier
from move37.records import Failed, GateReport, GateResult, Measured
from tests.hostile.cases import Case

TIER = "smoke"
# Nats by which a held-out loss may lie under that of the root template and still be no gain.
NO_GAIN = 0.05
LOG_LINES = 15
SHOUT = "BREACH"
ROOT_CASE = Case("root", ROOT, "is the root", template_source(ROOT), "passes", run="evaluate")


@dataclass(frozen=True)
class Observed:
    """What became of a candidate: `stage` is None when it passed everything that was asked."""

    stage: str | None
    gates: tuple[GateResult, ...] = ()
    reason: str = ""
    log: str = ""
    losses: dict[str, float] = field(default_factory=dict)

    @property
    def failing(self) -> tuple[str, ...]:
        """The gates that failed, in the order of the ladder."""
        return tuple(gate.id for gate in self.gates if not gate.passed)

    @property
    def verdict(self) -> str:
        """The verdict in the words of a head."""
        if self.stage == "gate":
            return f"gate {self.failing[0]}" if self.failing else "gate"
        return "passes" if self.stage is None else self.stage

    @property
    def shouted(self) -> bool:
        """Whether the candidate told anywhere that its attack obtained something."""
        told = [self.reason, self.log, *(gate.detail for gate in self.gates)]
        return any(SHOUT in text for text in told)

    def told(self) -> str:
        """Explain it to whoever reads a failing test."""
        lines = [f"observed {self.verdict}: {self.reason[:500]}"]
        lines += [
            f"  {gate.id} {gate.name}: {gate.told}, limit {gate.threshold:.2g}, {gate.detail}"
            for gate in self.gates
            if not gate.passed
        ]
        lines += [f"  {task}: {loss:.3f} nats" for task, loss in self.losses.items()]
        return "\n".join(lines + self.log.splitlines()[-LOG_LINES:])


def objection(case: Case, seen: Observed, root: Callable[[], Observed]) -> str:
    """Say why this is not what the head expects; empty when it is."""
    if case.kind == "hostile" and seen.shouted:
        return "the attack obtained something"
    match case.expect.split():
        case ["gate", *wanted]:
            fits = seen.stage == "gate" and seen.failing[:1] and seen.failing[0] in wanted
        case ["no", "gain"]:
            fits = seen.stage is not None or not _gained(seen.losses, root().losses)
        case ["contained"] | ["passes"]:
            fits = seen.stage is None
        case _:
            fits = seen.stage == case.expect
    return "" if fits else f"expected {case.expect}"


def _gained(losses: dict[str, float], root: dict[str, float]) -> bool:
    return any(losses[task] < root[task] - NO_GAIN for task in root)


class Unscreened(Evaluator):
    """An evaluator that does not ask the static policy, so that what stands behind it is tested."""

    def observe(self, source: str) -> Observed:
        """Take one source through gates, training, scoring and audit."""
        run = Run(source, 0, None, ignore)
        try:
            return _of_outcome(self._measure(run))
        except BoxFailure as failure:
            gates = run.account.gates.gates if run.account.gates else ()
            return Observed(failure.stage, gates, failure.reason, failure.log)


def _of_outcome(outcome: Measured | Failed | GateReport) -> Observed:
    if isinstance(outcome, GateReport):
        return _of_report(outcome)
    if isinstance(outcome, Measured):
        losses = {score.task: score.loss for score in outcome.scores}
        return Observed(None, outcome.gates.gates, losses=losses)
    gates = outcome.gates.gates if outcome.gates else ()
    if outcome.stage == "policy":
        policy = GateResult(id="G17", name="policy", passed=False, figure=None, threshold=0.0)
        return Observed("gate", (policy,), outcome.reason, outcome.log)
    return Observed(outcome.stage, gates, outcome.reason, outcome.log)


def _of_report(report: GateReport, log: str = "") -> Observed:
    return Observed(None if report.passed else "gate", report.gates, log=log)


def climb(case: Case, nursery: Nursery, *, every: bool = False) -> Observed:
    """Ask the gates alone, without the static policy."""
    seconds = case.seconds or GATE_SECONDS
    try:
        checked = run_ladder(
            case.source, nursery, every=every, seconds=seconds, used=lambda _: None
        )
    except LadderFailure as failure:
        return Observed(failure.stage, failure.report.gates, failure.reason, failure.log)
    return _of_report(checked.report, checked.log)


def observe(case: Case, nursery: Nursery) -> Observed:
    """Run one case as its head asks."""
    if case.run == "evaluate":
        tier = load_tier(TIER)
        if case.seconds is not None:
            tier = tier.model_copy(update={"seconds": int(case.seconds)})
        return Unscreened(tier, load_corpus(), nursery).observe(case.source)
    if case.kind == "hostile":
        return climb(case, nursery)
    return _of_outcome(check(case.source, nursery))


class Court:
    """Judges many cases side by side, one for each processor; each is asked for once."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._pool = ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0)))
        self._verdicts: dict[str, Future[Observed]] = {}

    def summon(self, cases: Iterable[Case]) -> None:
        """Start on these cases in this order, after the root where one is held against it."""
        summoned = list(cases)
        if any(case.expect == "no gain" for case in summoned):
            self._verdict(ROOT_CASE)
        for case in summoned:
            self._verdict(case)

    def judge(self, case: Case) -> Observed:
        """Return what became of a case, when that is known."""
        return self._verdict(case).result()

    def root(self) -> Observed:
        """Return what became of the root template at the same tier and seed."""
        return self.judge(ROOT_CASE)

    def close(self) -> None:
        """Drop what has not been started, and wait for the rest."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _verdict(self, case: Case) -> Future[Observed]:
        if case.id not in self._verdicts:
            self._verdicts[case.id] = self._pool.submit(observe, case, self._nursery)
        return self._verdicts[case.id]
