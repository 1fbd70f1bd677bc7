"""One source on one skill at one seed: trained in a box, scored token by token, audited.

As in `evaluate.py`, the training box returns weights, a fresh one streams logits, and every loss
that counts is computed here. Test rows come from secret seeds, and facts from a secret table.
"""

from __future__ import annotations

import math
import time

import numpy as np

from move37.evaluation import audit, data, scoring
from move37.evaluation.data import Array
from move37.evaluation.evaluate import read_ending, read_point, read_weights
from move37.evaluation.isolation.nursery import BoxFailure, Limits, Nursery
from move37.evaluation.skills import recall
from move37.evaluation.skills.catalog import SKILLS
from move37.evaluation.skills.results import Capacity, SkillRun, steps_to_threshold
from move37.evaluation.skills.rows import Rows, Skill
from move37.evaluation.skills.settings import Setting, load_skill_settings
from move37.evaluation.tiers import Tier
from move37.records import Failed, GateReport, GateResult

# Rounding of a float32 logit; a model that gives every token the same odds has no other spread.
ROUNDING = 1e-6


class SkillJudge:
    """Runs skills at one tier; safe to use from several threads."""

    def __init__(self, tier: Tier, corpus: data.Corpus, nursery: Nursery) -> None:
        self._tier = tier
        self._corpus = corpus
        self._nursery = nursery
        self._settings = load_skill_settings().at(tier.name)

    def run(self, source: str, name: str, seed: int) -> SkillRun | Failed:
        """Train, score and audit; a candidate's failure is a value.

        The walls of the box hold whatever the source does; policy and gates are the caller's.
        """
        try:
            return _Run(self._tier, self._corpus, self._nursery, source, name, seed).measure(
                self._settings[name]
            )
        except BoxFailure as failure:
            return Failed(stage=failure.stage, reason=failure.reason, log=failure.log)


class _Run:
    def __init__(
        self,
        tier: Tier,
        corpus: data.Corpus,
        nursery: Nursery,
        source: str,
        name: str,
        seed: int,
    ) -> None:
        self._tier, self._nursery = tier, nursery
        self._source, self._name, self._seed = source, name, seed
        self._limits = Limits(seconds=tier.seconds)
        self._corpus = corpus
        self._cpu = 0.0

    def measure(self, setting: Setting) -> SkillRun | Failed:
        skill = SKILLS[self._name](setting, self._secret("table", self._seed))
        weights, steps = self._train(skill, setting)
        # The same rows for every design and every seed, or differences would be theirs.
        rows = skill.test(self._secret("held-out skills"), setting.held_out)
        logits = self._stream(skill, weights, rows)
        losses = data.token_losses(logits, rows.tokens)
        audited = self._audit(skill, weights, rows, logits)
        audited = audit.join([audited], floor_gates(losses, rows.floor, self._name))
        if not audited.passed:
            return _audit_failure(audited)
        scored = rows.mask.astype(bool)
        right = logits.argmax(-1) == rows.tokens[:, 1:]
        return SkillRun(
            skill=self._name,
            seed=self._seed,
            loss=losses[scored].mean(),
            floor=rows.floor[scored].mean(),
            chance=skill.chance,
            accuracy=right[scored].mean(),
            tokens=int(scored.sum()),
            steps=steps,
            capacity=capacity(rows, losses, right) if self._name == "recall" else (),
            audit=audited,
            cpu_seconds=self._cpu,
        )

    def _secret(self, *purpose: object) -> int:
        return data.secret_number(self._corpus, "skill", self._name, *purpose)

    def _job(self, skill: Skill) -> dict[str, object]:
        shape = {
            "vocabulary": skill.vocabulary,
            "layers": self._tier.layers,
            "hidden": self._tier.hidden,
            "heads": self._tier.heads,
            "expansion": self._tier.expansion,
        }
        return {"source": self._source, "shape": shape}

    def _train(self, skill: Skill, setting: Setting) -> tuple[bytes, int | None]:
        """Return the weights, unread, and the steps to the threshold."""
        rows = skill.train(self._seed, setting.steps * setting.rows)
        shape = (setting.steps, setting.rows, -1)
        how = {
            "op": "train",
            "seed": self._seed,
            "rate": setting.rate,
            "decay": self._tier.weight_decay,
            "warmup": max(1, math.ceil(self._tier.warmup_share * setting.steps)),
        }
        losses, start = [], time.monotonic()
        with self._nursery.open_box(self._limits) as box:
            arrays = [rows.tokens.reshape(shape), rows.mask.reshape(shape)]
            box.send({**self._job(skill), **how}, arrays)
            for step in range(1, setting.steps + 1):
                losses.append(read_point(box, self._name, step, time.monotonic() - start).loss)
            read_ending(box)
            weights = read_weights(box)
        self._cpu += box.usage.cpu_seconds
        floor = float(rows.floor[rows.mask > 0].mean())
        return weights, steps_to_threshold(losses, (skill.chance + floor) / 2)

    def _stream(self, skill: Skill, weights: bytes, rows: Rows) -> Array:
        with self._nursery.open_box(self._limits) as box:
            logits = scoring.stream_logits(box, self._job(skill), weights, rows.tokens[:, :-1])
        self._cpu += box.usage.cpu_seconds
        return logits

    def _audit(self, skill: Skill, weights: bytes, rows: Rows, logits: Array) -> GateReport:
        secret = self._secret("audit", self._seed, self._source)
        trained = audit.Trained(self._name, self._job(skill), weights, secret)
        with self._nursery.open_box(self._limits) as box:
            found = audit.audit(box, trained, rows.tokens[:, :-1], logits)
        self._cpu += box.usage.cpu_seconds
        return found


def floor_gates(losses: Array, floor: Array, name: str) -> list[GateResult]:
    """G6: losses [N, T] against their floor [N, T]; no gate where no target has one above zero.

    The tokens of a row depend on each other, so the standard error is over the means of rows. No
    loss can be below a floor of zero, so those targets would only dilute the others.
    """
    known = np.nan_to_num(floor) > 0
    if not known.any():
        return []
    kept = known.any(-1)
    excess = np.where(known, losses - np.nan_to_num(floor), 0.0)[kept]
    share = excess.sum(-1) / known[kept].sum(-1)
    error = max(float(share.std(ddof=1)) / math.sqrt(share.size), ROUNDING)
    figure = float(share.mean()) / error
    passed = figure >= -audit.FLOOR_ERRORS
    return [
        GateResult(
            id="G6",
            name=f"floor of {name}",
            passed=passed,
            figure=figure,
            threshold=-audit.FLOOR_ERRORS,
            detail=f"{share.mean():+.4f} nats from the least that is possible",
            advice="" if passed else "no honest model can predict these tokens: look for a leak",
        )
    ]


def capacity(rows: Rows, losses: Array, right: Array) -> tuple[Capacity, ...]:
    """Split the scored tokens of plain recall by the number of pairs of their episodes."""
    pairs, scored = recall.pairs_of(rows), rows.mask.astype(bool)
    found = []
    for count in np.unique(pairs):
        chosen = scored & (pairs == count)[:, None]
        found.append(
            Capacity(
                pairs=int(count),
                loss=losses[chosen].mean(),
                accuracy=right[chosen].mean(),
                tokens=int(chosen.sum()),
            )
        )
    return tuple(found)


def _audit_failure(audited: GateReport) -> Failed:
    bad = [f"{g.id} {g.name}: {g.detail}: {g.advice}" for g in audited.gates if not g.passed]
    return Failed(stage="audit", reason="; ".join(bad), gates=audited)
