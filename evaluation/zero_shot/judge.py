"""One source trained on text at one seed, then asked the tasks of the harness.

As everywhere, the training box returns weights, fresh ones get held-out tokens one at a time, and
every figure is computed here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from move37.evaluation import data, training
from move37.evaluation.evaluate import Evaluator, Run, ignore
from move37.evaluation.isolation.nursery import BoxFailure, Limits, Nursery
from move37.evaluation.zero_shot.harness import Harness, require
from move37.evaluation.zero_shot.results import BenchmarkRun, TaskItems
from move37.evaluation.zero_shot.streams import Boxed
from move37.evaluation.zero_shot.text import held_out_text, tokenizer_of
from move37.records import Failed


class BenchmarkJudge:
    """Runs benchmarks at one tier; safe to use from several threads."""

    def __init__(self, evaluator: Evaluator, corpus: data.Corpus, nursery: Nursery) -> None:
        self._evaluator = evaluator
        self._corpus = corpus
        self._nursery = nursery
        self._lock = threading.Lock()
        self._harness: Harness | None = None

    def prepare(self, names: Sequence[str], limit: int) -> list[TaskItems]:
        """Say what would be asked.

        Raises:
            UserError: the harness, a task or its data is not to be had.
        """
        return self._opened().prepare(names, limit)

    def run(
        self, source: str, seed: int, names: Sequence[str], limit: int
    ) -> BenchmarkRun | Failed:
        """Train, score, audit and ask; a candidate's failure is a value.

        The walls of the box hold whatever the source does; policy and gates are the caller's.

        Raises:
            UserError: as `prepare`.
        """
        run, harness = Run(source, seed, None, ignore), self._opened()
        try:
            return self._measure(run, harness, names, limit)
        except BoxFailure as failure:
            return Failed(stage=failure.stage, reason=failure.reason, log=failure.log)

    def _measure(
        self, run: Run, harness: Harness, names: Sequence[str], limit: int
    ) -> BenchmarkRun | Failed:
        from move37.evaluation.zero_shot.boxed import BoxedModel

        text, audited, weights = self._evaluator.train_text(run)
        if not audited.passed:
            bad = [
                f"{g.id} {g.name}: {g.detail}: {g.advice}" for g in audited.gates if not g.passed
            ]
            return Failed(stage="audit", reason="; ".join(bad), gates=audited)
        tier = self._evaluator.tier
        boxed = Boxed(
            nursery=self._nursery,
            limits=Limits(seconds=tier.seconds),
            job=training.model_job(run.source, tier, tier.text.vocabulary),
            weights=weights,
            used=run.account.add_usage,
        )
        start = time.monotonic()
        model = BoxedModel(boxed, tokenizer_of(self._corpus), tier.text.length)
        tasks = harness.run(model, names, limit)
        return BenchmarkRun(
            seed=run.seed,
            text=text,
            audit=audited,
            tasks=tuple(tasks),
            cpu_seconds=run.account.cpu_seconds,
            train_seconds=run.account.train_seconds,
            task_seconds=time.monotonic() - start,
        )

    def _opened(self) -> Harness:
        require()
        with self._lock:
            if self._harness is None:
                room = self._evaluator.tier.text.length
                self._harness = Harness(held_out_text(self._corpus), room)
            return self._harness
