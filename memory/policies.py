"""Every way to choose which design is changed next, behind one function."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from move37.memory.pool import REFERENCES, as_candidate, select
from move37.memory.posterior import believe, draw_parent
from move37.records import Candidate, Experiment, Noise, Policy, Selection


@dataclass(frozen=True)
class Rule:
    """A policy with what it needs: the search's seed, the root's noise of text, and the tier's tau.

    `tau` is the spread of true text losses between designs, in nats.
    """

    policy: Policy
    seed: int
    noise: Noise
    tau: float


def choose(history: Sequence[Experiment], root: Candidate, number: int, rule: Rule) -> Selection:
    """Choose parent and references of experiment `number`; equal arguments, equal choice.

    Experiments from `number` on and the order of `history` do not count; nothing but the root and
    scored experiments is ever chosen. `paper` is ASI-Arch's rule (`move37.memory.pool`),
    `posterior` Thompson sampling on shrunken losses (`move37.memory.posterior`), `best-of-n` always
    the root, so that the proposals are independent, and `random` any of them alike.
    """
    earlier = sorted((e for e in history if e.number < number), key=lambda e: e.number)
    pool = [root, *(told for e in earlier if (told := as_candidate(e)) is not None)]
    if rule.policy == "best-of-n":
        reason = f"best of n: every design starts from the root template ({len(pool) - 1} so far)"
        return Selection(parent=root, reason=reason)
    if len(pool) == 1:
        reason = "nothing has been scored yet, so the root template is the parent"
        return Selection(parent=root, reason=reason)
    match rule.policy:
        case "paper":
            return select(earlier, root, number, rule.seed)
        case "posterior":
            return draw_parent(believe(earlier, root, rule.noise, rule.tau), rule.seed, number)
        case "random":
            return _at_random(pool, random.Random(f"{rule.seed}:{number}:random"))


def _at_random(pool: Sequence[Candidate], rng: random.Random) -> Selection:
    parent, *references = rng.sample(pool, min(1 + REFERENCES, len(pool)))
    who = "the root template" if parent.number == 0 else f"experiment {parent.number}"
    reason = f"{who} was drawn from all {len(pool)} designs alike, and so were the references"
    return Selection(parent=parent, references=tuple(references), reason=reason)
