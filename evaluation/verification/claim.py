"""What may be said of a candidate after its holdout seeds: the only place that says `discovery`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.stats import t

from move37.evaluation.statistics.intervals import Array
from move37.evaluation.statistics.many import discoveries
from move37.evaluation.statistics.paired import Paired, paired_gain
from move37.records import Finite, Value

# One-sided, on seeds that no selection knew.
ALPHA = 1e-3
FALSE_SHARE = 0.05
# A gain below so many seed SDs does not matter, however sure it is.
LEAST_SIGMAS = 3.0
# More seeds than this are not worth proposing.
MOST_SEEDS = 1000

Verdict = Literal["discovery", "promising", "size or tuning only", "not better"]


class Claim(Value):
    """A candidate against its matched twin and against the baseline, on the same holdout seeds.

    `least` is the gain in nats from which on it matters. `more_seeds` is how many further ones
    would decide a `promising` candidate, either way, if gain and noise stay as they are; None for
    every other verdict, and where a thousand would not.
    """

    verdict: Verdict
    reason: str
    against_twin: Paired
    against_baseline: Paired
    least: Finite
    more_seeds: int | None = None


def least_gain(sigma: float, floor: float) -> float:
    """The gain from which on a difference matters: the tier's `floor`, and three seed SDs."""
    return max(floor, LEAST_SIGMAS * sigma)


def claim(candidate: Array, twin: Array, baseline: Array, least: float) -> Claim:
    """Decide from losses [N] in nats of all three on the same N holdout seeds.

    A gain holds when its one-sided paired p is under 0.001 and its mean is at least `least`. It is
    a discovery when it holds against the twin, which has the candidate's size and was tuned
    alike; a gain that holds against the baseline, while its interval against the twin ends below
    `least`, came from size or tuning. What is positive and not excluded is promising.

    Raises:
        ValueError: fewer than two seeds, or not as many of each.
    """
    ours, plain = paired_gain(candidate, twin), paired_gain(candidate, baseline)
    verdict, reason = _verdict(ours, plain, least)
    more = None
    if verdict == "promising":
        more = more_seeds(ours, least)
    return Claim(
        verdict=verdict,
        reason=reason,
        against_twin=ours,
        against_baseline=plain,
        least=least,
        more_seeds=more,
    )


def keep_true(claims: Sequence[Claim]) -> list[Claim]:
    """Take back discoveries until at most 5 % of those left may be false (`discoveries`)."""
    stand = discoveries(np.array([one.against_twin.p for one in claims]), FALSE_SHARE)
    return [
        one
        if stands or one.verdict != "discovery"
        else one.model_copy(
            update={
                "verdict": "promising",
                "reason": f"one of {len(claims)} claims, and not sure enough among so many",
                "more_seeds": more_seeds(one.against_twin, one.least),
            }
        )
        for one, stands in zip(claims, stand.tolist(), strict=True)
    ]


def holds(gain: Paired, least: float) -> bool:
    """Whether a gain is both sure and large enough."""
    return gain.p < ALPHA and gain.gain >= least


def more_seeds(gain: Paired, least: float) -> int | None:
    """Return the seeds still missing until the gain holds or is excluded, at this mean and SD.

    None when the mean lies so near to `least` that a thousand would not decide.
    """
    seeds = np.arange(gain.seeds + 1, gain.seeds + MOST_SEEDS + 1)
    se = gain.se * math.sqrt(gain.seeds) / np.sqrt(seeds)
    sure = (gain.gain >= least) & (gain.gain > t.isf(ALPHA, seeds - 1) * se)
    excluded = gain.gain + t.isf(0.025, seeds - 1) * se < least
    decided = sure | excluded
    return int(np.argmax(decided)) + 1 if decided.any() else None


def _verdict(ours: Paired, plain: Paired, least: float) -> tuple[Verdict, str]:
    told = f"{ours.gain:+.4f} nats against the twin (p {ours.p:.2g}, {ours.seeds} seeds)"
    if holds(ours, least):
        return "discovery", f"{told}, at least the {least:.4f} that matter"
    if ours.interval.high < least and holds(plain, least):
        return (
            "size or tuning only",
            f"{plain.gain:+.4f} nats against the baseline, but {told}",
        )
    if ours.gain <= 0 or ours.interval.high < least:
        return "not better", f"{told}; what matters begins at {least:.4f}"
    return "promising", f"{told}: neither sure of {least:.4f} nor excluded"
