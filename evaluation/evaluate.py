"""One file in, one `Measured` or `Failed` out: policy, gates, training, scoring, cheap ones first.

Training and scoring happen in different boxes. A training box gets training tokens and returns
opaque weights; a fresh scoring box gets held-out tokens one at a time and returns logits; the loss
is computed here, and other fresh boxes are asked whether the trained weights keep to the rules. A
candidate's failure is a value; an exception out of this module is a bug of ours.
"""

from __future__ import annotations

import hashlib
import math
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Literal, get_args

import safetensors

from move37.arch_templates.catalog import op_names
from move37.evaluation import audit, data, policy, pruning, scoring, sizes, training
from move37.evaluation.gates import ladder as gates
from move37.evaluation.gates import thresholds as limits
from move37.evaluation.isolation import protocol
from move37.evaluation.isolation.nursery import Box, BoxFailure, Nursery
from move37.evaluation.isolation.walls import tier_name
from move37.evaluation.standing import TASK
from move37.evaluation.tiers import Task, Tier
from move37.records import (
    Baseline,
    Cost,
    CurvePoint,
    Failed,
    Form,
    GateReport,
    GateResult,
    Measured,
    Provenance,
    Runtime,
    Size,
    Spared,
    TaskScore,
    Value,
)

# A loss over that of a uniform guess by this share after the warm-up will not come back.
DIVERGED = 1.1
# Half the baseline's loss at the same step of the same data: no known design comes near.
TOO_GOOD = 0.5
# Early losses say little: a high start is not yet divergence.
SETTLED_STEPS = 20
SLOW_FACTOR = 3.0
SLOW_WINDOW = 20
TASKS = ("text", "recall")

Watcher = Callable[[str, CurvePoint, int], None]


def ignore(event: str, point: CurvePoint, total: int) -> None:
    """Watch nothing."""


@dataclass
class Account:
    """What has been measured so far of one evaluation, kept when it fails half-way."""

    curve: list[CurvePoint] = field(default_factory=list)
    gates: GateReport | None = None
    gate_seconds: float = 0.0
    train_seconds: float = 0.0
    score_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    step_seconds: dict[str, float] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)
    would_stop: str = ""
    # Of the scoring box: CPU time for one position of all its rows, and how many these were.
    decode_seconds: float = 0.0
    decode_rows: int = 0
    runtime: Runtime = field(default_factory=Runtime)

    def add_usage(self, box: Box) -> None:
        """Add what a box that ended has used."""
        self.cpu_seconds += box.usage.cpu_seconds
        self.peak_bytes = max(self.peak_bytes, box.usage.peak_bytes)

    def cost(self) -> Cost:
        """Return it as a value."""
        return Cost(
            gate_seconds=self.gate_seconds,
            train_seconds=self.train_seconds,
            score_seconds=self.score_seconds,
            cpu_seconds=self.cpu_seconds,
            peak_bytes=self.peak_bytes,
            step_seconds=self.step_seconds,
        )


class Admitted(Value):
    """A candidate that passed policy and gates; its state in bytes is for a sequence and layer."""

    kind: Literal["admitted"] = "admitted"
    gates: GateReport
    state_bytes: int


@dataclass(frozen=True)
class Run:
    """One evaluation under way."""

    source: str
    seed: int
    baseline: Baseline | None
    watch: Watcher
    plan: pruning.Plan | None = None
    account: Account = field(default_factory=Account)


@cache
def evaluator_hash() -> str:
    """Hash of the sources that decide a number: this folder, the ops and the contract."""
    digest = hashlib.sha256()
    # By path: importing the ops would bring torch into the trusted process.
    for package in ("move37.evaluation", "move37.arch_templates"):
        folder = Path(str(resources.files(package)))
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def machine_name() -> str:
    """Name what decides bits and seconds: processor, system, Python."""
    return f"{platform.machine()} {platform.system()} python {platform.python_version()}"


class Evaluator:
    """Judges source text at one tier on one corpus; safe to use from several threads."""

    def __init__(self, tier: Tier, corpus: data.Corpus, nursery: Nursery) -> None:
        self.tier = tier
        self._corpus = corpus
        self._nursery = nursery
        self._limits = training.limits_of(tier, sizes.memory_bytes(tier))
        self._weight_limit = training.weight_limit(sizes.parameters(tier)[0])

    @property
    def provenance(self) -> Provenance:
        """The hashes under which every number of this evaluator stands."""
        return Provenance(
            evaluator=evaluator_hash(),
            data=self._corpus.digest,
            tier=self.tier.digest,
            torch=metadata.version("torch"),
            machine=machine_name(),
            isolation=tier_name(self._nursery.raised),
        )

    def evaluate(
        self,
        source: str,
        seed: int,
        baseline: Baseline | None = None,
        watch: Watcher = ignore,
        plan: pruning.Plan | None = None,
    ) -> Measured | Failed:
        """Take one source through policy, gates, training and scoring; no plan: to the end."""
        if (refused := policy.inspect(source)) is not None:
            return refused
        run = Run(source, seed, baseline, watch, plan)
        try:
            return self._measure(run)
        except BoxFailure as failure:
            return _failed(failure, run.account)

    def admit(self, source: str) -> Admitted | Failed:
        """Take one source through policy and gates only."""
        if (refused := policy.inspect(source)) is not None:
            return refused
        account = Account()
        try:
            checked = _run_gates(source, self._nursery, account, layers=self.tier.layers)
        except BoxFailure as failure:
            return _failed(failure, account)
        if not checked.report.passed:
            return _gate_failure(checked, account)
        state = checked.state_bytes(self.tier.layers)
        return Admitted(gates=checked.report, state_bytes=state)

    def rehearse(self, source: str, steps: int) -> Measured | Failed:
        """Take one source through everything with a few steps only: does it run at all?"""
        return Evaluator(_shortened(self.tier, steps), self._corpus, self._nursery).evaluate(
            source, seed=0
        )

    def text(self, source: str, seed: int) -> TaskScore | Failed:
        """Train on text, score and audit; the walls hold whatever passed policy and gates."""
        run = Run(source, seed, None, ignore)
        try:
            score, audited, _ = self.train_text(run)
        except BoxFailure as failure:
            return _failed(failure, run.account)
        if not audited.passed:
            return _audit_failure(GateReport(gates=(), seconds=0.0), audited, run.account)
        return score

    def train_text(self, run: Run) -> tuple[TaskScore, GateReport, bytes]:
        """Train on text, score and audit: what follows policy and gates once these were passed.

        Raises:
            BoxFailure: there is no loss to be had.
        """
        weights = self._train(run, "text")
        return *self._score(run, "text", weights), weights

    def _measure(self, run: Run) -> Measured | Failed:
        checked = _run_gates(run.source, self._nursery, run.account, layers=self.tier.layers)
        report = checked.report
        if not report.passed:
            return _gate_failure(checked, run.account)
        scores, audits = [], []
        parameters = (0, 0)
        for task in TASKS:
            weights = self._train(run, task)
            parameters = max(parameters, count_parameters(weights))
            score, found = self._score(run, task, weights)
            scores.append(score)
            audits.append(found)
        audited = audit.join(audits, self._claims(run, scores, parameters[1]))
        if not audited.passed:
            return _audit_failure(report, audited, run.account)
        return Measured(
            gates=report,
            audit=audited,
            scores=tuple(scores),
            curve=tuple(run.account.curve),
            size=Size(
                parameters=parameters[0],
                mixer_parameters=parameters[1],
                flops_per_token=checked.flops_per_token(self.tier.layers),
                state_bytes=checked.state_bytes(self.tier.layers),
            ),
            cost=run.account.cost(),
            provenance=self.provenance,
            forms=run.account.forms,
            spared=Spared(reason=run.account.would_stop) if run.plan and run.plan.spared else None,
            runtime=run.account.runtime,
        )

    def _claims(self, run: Run, scores: list[TaskScore], mixer_parameters: int) -> list[GateResult]:
        """Ask more of what is compared with a baseline, and most of what would beat it."""
        if run.baseline is None:
            return []
        found = [audit.budget_check(mixer_parameters, run.baseline.size.mixer_parameters)]
        text = next(score.loss for score in scores if score.task == "text")
        if text < run.baseline.noise["text"].mean:
            start = time.monotonic()
            used = run.account.add_usage
            found.append(gates.run_white_noise(run.source, self._nursery, used))
            run.account.score_seconds += time.monotonic() - start
        return found

    def _train(self, run: Run, task: str) -> bytes:
        """Train in a box on tokens that this side drew; return the weights, unread."""
        spec = _task(self.tier, task)
        chunks = self._training(task, run.seed)
        start = time.monotonic()
        with self._training_box(run.account) as box:
            feed = training.Feed(box, training.job(run.source, self.tier, spec, run.seed), chunks)
            anomalies = Anomalies(spec, task, run.baseline)
            for step in range(1, spec.steps + 1):
                feed.before(step)
                point = read_point(box, task, step, time.monotonic() - start)
                run.account.curve.append(point)
                run.watch("training", point, spec.steps)
                anomalies.look(point, box)
                if task == TASK and run.plan:
                    _follow(run.plan, run.account)
            forms, run.account.runtime = read_ending(box)
            run.account.forms.update(forms)
            weights = read_weights(box, self._weight_limit)
        run.account.step_seconds[task] = box.usage.cpu_seconds / spec.steps
        return weights

    @contextmanager
    def _training_box(self, account: Account) -> Iterator[Box]:
        """Open a box whose cost is counted also when the training in it is stopped."""
        start = time.monotonic()
        box = self._nursery.open_box(self._limits)
        try:
            with box:
                yield box
        finally:
            account.add_usage(box)
            account.train_seconds += time.monotonic() - start

    def _score(self, run: Run, task: str, weights: bytes) -> tuple[TaskScore, GateReport]:
        """Stream held-out tokens through one fresh box, and audit the weights in another."""
        spec = _task(self.tier, task)
        rows = scoring.rows_of(self._held_out(task))
        job = training.model_job(run.source, self.tier, spec.vocabulary)
        secret = data.secret_number(self._corpus, "audit", task, run.seed, run.source)
        trained = audit.Trained(task, job, weights, secret)
        kept = scoring.rows_to_keep(rows.mask.shape, spec.vocabulary, secret)
        inputs = rows.tokens[kept, :-1]
        start = time.monotonic()
        with self._nursery.open_box(self._limits) as box:
            losses, logits = scoring.stream_losses(box, job, weights, rows, kept)
        run.account.add_usage(box)
        run.account.decode_rows, positions = rows.mask.shape
        run.account.decode_seconds = box.usage.cpu_seconds / positions
        with self._nursery.open_box(self._limits) as box:
            found = audit.audit(box, trained, inputs, logits)
        run.account.add_usage(box)
        if task == "recall":
            surprises = losses[data.recall_surprises(rows)]
            floor = audit.floor_check(surprises, math.log(spec.vocabulary / 2), task)
            found = audit.join([found], [floor])
        run.account.score_seconds += time.monotonic() - start
        scored = losses[rows.mask.astype(bool)]
        score = TaskScore(task=task, seed=run.seed, loss=scored.mean(), tokens=scored.size)
        return score, found

    def _training(self, task: str, seed: int) -> Iterator[data.Batches]:
        spec = _task(self.tier, task)
        size = (spec.steps, spec.rows, spec.length)
        if task == "text":
            return data.text_chunks(self._corpus, seed, size)
        return data.in_chunks(data.recall_batches(seed, size, spec.vocabulary))

    def _held_out(self, task: str) -> data.Batches:
        spec = _task(self.tier, task)
        size = (spec.held_out, spec.rows, spec.length)
        if task == "text":
            return data.held_out_windows(self._corpus, size)
        return data.recall_batches(
            data.secret_number(self._corpus, "held-out tasks"), size, spec.vocabulary
        )


class Anomalies:
    """Reasons to stop a run at once; the figures come from the box, so they only ever stop."""

    def __init__(self, spec: Task, task: str, baseline: Baseline | None) -> None:
        self._uniform = math.log(spec.vocabulary)
        self._settled = max(SETTLED_STEPS, spec.steps // 10)
        curve = baseline.curve if baseline and task == "text" else ()
        self._expected = {point.step: point.loss for point in curve if point.task == task}
        self._step_seconds = baseline.step_seconds.get(task) if baseline else None
        self._cpu = 0.0

    def look(self, point: CurvePoint, box: Box) -> None:
        """Raise BoxFailure when this step shows that going on is a waste."""
        if point.step > self._settled and point.loss > self._uniform * DIVERGED:
            reason = f"diverged: loss {point.loss:.3f} at step {point.step}"
            raise BoxFailure("train", f"{reason}, a uniform guess has {self._uniform:.3f}")
        expected = self._expected.get(point.step)
        if expected and point.step > self._settled and point.loss < TOO_GOOD * expected:
            reason = f"abnormally low loss {point.loss:.3f} at step {point.step}"
            raise BoxFailure("train", f"{reason}, the baseline has {expected:.3f}: a leak?")
        if point.step % SLOW_WINDOW == 0:
            self._look_at_speed(point, box.cpu_seconds())

    def _look_at_speed(self, point: CurvePoint, cpu: float) -> None:
        taken, self._cpu = (cpu - self._cpu) / SLOW_WINDOW, cpu
        # The first window also holds the start of the process.
        if self._step_seconds is None or point.step == SLOW_WINDOW:
            return
        if taken > SLOW_FACTOR * self._step_seconds:
            reason = f"{taken * 1e3:.0f} ms of CPU a step"
            base = f"the baseline takes {self._step_seconds * 1e3:.0f} ms"
            raise BoxFailure("train", f"too slow: {reason}, {base}; at most three times is allowed")


def _follow(plan: pruning.Plan, account: Account) -> None:
    """Raise BoxFailure where the plan ends the run; a spared run only has it noted."""
    losses = [point.loss for point in account.curve if point.task == TASK]
    reason = pruning.reason_to_stop(plan, losses)
    if reason and not plan.spared:
        raise BoxFailure("pruned", reason)
    account.would_stop = account.would_stop or reason


def _task(tier: Tier, task: str) -> Task:
    return tier.text if task == "text" else tier.recall


def _shortened(tier: Tier, steps: int) -> Tier:
    """Return the tier with fewer steps and one held-out batch."""
    short = {"steps": steps, "held_out": 1}
    return tier.model_copy(
        update={
            "name": f"{tier.name}, {steps} steps",
            "text": tier.text.model_copy(update=short),
            "recall": tier.recall.model_copy(update=short),
        }
    )


def read_point(box: Box, task: str, step: int, seconds: float) -> CurvePoint:
    """Return the loss of one training step as the box tells it; BoxFailure if it is no number."""
    told = box.receive_json()
    loss = told.get("loss")
    if not isinstance(loss, float) or not math.isfinite(loss):
        raise BoxFailure("train", f"the loss is {loss!r} at step {step}", box.log_tail())
    return CurvePoint(task=task, step=step, loss=loss, seconds=seconds)


def read_ending(box: Box) -> tuple[dict[str, Form], Runtime]:
    """Return the forms that the ops ran in and what the training ran on, as the box tells."""
    told = box.receive_json()
    return _forms(told.get("forms"), box), training.read_runtime(told.get("runtime"), box)


def _forms(told: object, box: Box) -> dict[str, Form]:
    """Return the forms by op: no name that is not an op's."""
    forms = told if isinstance(told, dict) else {"no": "object"}
    known = all(op in op_names() and form in get_args(Form) for op, form in forms.items())
    if not known:
        raise BoxFailure("train", "the process told forms of ops that do not exist", box.log_tail())
    return dict(sorted(forms.items()))


def read_weights(box: Box, limit: int = training.WEIGHT_LIMIT) -> bytes:
    """Return the weights that end a training, unread."""
    kind, payload = box.receive(limit=limit)
    if kind != protocol.WEIGHTS:
        raise BoxFailure("train", "the process returned no weights", box.log_tail())
    return payload


def count_parameters(weights: bytes) -> tuple[int, int]:
    """Count values in the weights (safetensors: a header and raw bytes): all, and of mixers.

    Raises:
        BoxFailure: they are something else.
    """
    try:
        tensors = safetensors.deserialize(weights)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise BoxFailure("train", f"the process returned malformed weights: {error}") from None
    counts = {name: math.prod(tensor["shape"]) for name, tensor in tensors}
    mixers = sum(n for name, n in counts.items() if ".mixer." in name)
    return sum(counts.values()), mixers


def check(
    source: str, nursery: Nursery, *, every: bool = False, white_noise: bool = False
) -> GateReport | Failed:
    """Run the static policy and the gates on one source; what it raised comes with its log."""
    if (refused := policy.inspect(source)) is not None:
        return refused
    account = Account()
    try:
        checked = _run_gates(source, nursery, account, every=every, white_noise=white_noise)
    except BoxFailure as failure:
        return _failed(failure, account)
    return _gate_failure(checked, account) if checked.log else checked.report


def _run_gates(
    source: str,
    nursery: Nursery,
    account: Account,
    *,
    every: bool = False,
    white_noise: bool = False,
    layers: int = 0,
) -> gates.Checked:
    """Climb the ladder, and note in the account what it cost and how far it came."""
    start = time.monotonic()
    try:
        checked = gates.run_ladder(
            source,
            nursery,
            every=every,
            white_noise=white_noise,
            layers=max(limits.LAYERS, layers),
            used=account.add_usage,
        )
    except gates.LadderFailure as failure:
        account.gates = failure.report
        raise
    finally:
        account.gate_seconds = time.monotonic() - start
    account.gates = checked.report
    return checked


def _gate_failure(checked: gates.Checked, account: Account) -> Failed:
    bad = [g for g in checked.report.gates if not g.passed]
    reason = "; ".join(
        f"{g.id} {g.name}: {g.told}, limit {g.threshold:.2g}, {g.detail}: {g.advice}" for g in bad
    )
    return Failed(
        stage="gate",
        reason=reason,
        log=checked.log,
        gates=checked.report,
        cost=account.cost(),
    )


def _audit_failure(gates: GateReport, audited: GateReport, account: Account) -> Failed:
    bad = [f"{g.id} {g.name}: {g.detail}: {g.advice}" for g in audited.gates if not g.passed]
    return Failed(
        stage="audit",
        reason="; ".join(bad),
        gates=audit.join([gates, audited]),
        curve=tuple(account.curve),
        cost=account.cost(),
    )


def _failed(failure: BoxFailure, account: Account) -> Failed:
    return Failed(
        stage=failure.stage,
        reason=failure.reason,
        log=failure.log,
        gates=account.gates,
        curve=tuple(account.curve),
        cost=account.cost(),
    )
