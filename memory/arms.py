"""Control arms: experiments of a campaign that choose their parents in another way.

An arm is what a campaign of its policy alone would be: its experiments see the root, the papers
and one another, and never the designs, lessons or refusals of another arm. If `random` drew from
designs that `posterior` had found, or learned from their lessons, it would be shown what it is to
be compared with; and a design of an arm in the main pool would pay for the policy's find.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from move37.evaluation.standing import quantile
from move37.evaluation.statistics.intervals import CONFIDENCE, Interval
from move37.records import CampaignConfig, Estimate, Experiment, Finite, Noise, Policy, Value

# The step of a sequence that fills the circle most evenly (Kronecker, Weyl 1916).
GOLDEN = (math.sqrt(5) - 1) / 2


def arm_of(config: CampaignConfig, number: int) -> Policy | None:
    """Return the arm of one experiment, None for the campaign's own policy.

    A function of seed and number alone: `u + number * GOLDEN` modulo 1 falls into one of adjoining
    intervals as long as the shares, `u` drawn from the seed. After any number of experiments each
    arm has had its share to within a few.
    """
    start = random.Random(f"{config.seed}:arms").random()
    place = (start + number * GOLDEN) % 1
    for policy, share in sorted(config.arms.items()):
        if place < share:
            return policy
        place -= share
    return None


class Best(Value):
    """The best of an arm by what is believed of it, and its gain over the baseline in nats.

    The interval is Student's t with the degrees of freedom of the baseline's seeds.
    """

    number: int
    gain: Finite
    interval: Interval


class ArmStanding(Value):
    """What came of the experiments of one arm; gains are posterior means against the baseline.

    `mean` is over its scored designs, with its interval of Student's t where there are two or more.
    `at_equal` is the best gain among its first experiments, as many as the smallest arm has: a
    best of more tries is better by the number alone.
    """

    policy: Policy
    control: bool
    experiments: int
    scored: int
    cpu_seconds: Finite
    mean: Finite | None
    mean_interval: Interval | None
    best: Best | None
    at_equal: Finite | None

    @property
    def for_each_experiment(self) -> float | None:
        """The best gain over the number of experiments, in nats."""
        return self.best.gain / self.experiments if self.best and self.experiments else None

    @property
    def for_each_cpu_second(self) -> float | None:
        """The best gain over the CPU time of all boxes of the arm, in nats a second."""
        return self.best.gain / self.cpu_seconds if self.best and self.cpu_seconds else None


def arm_standings(
    config: CampaignConfig, experiments: Sequence[Experiment], noise: Noise
) -> list[ArmStanding]:
    """Return the policy of the campaign and its arms, the former first."""
    arms: list[Policy | None] = [None, *sorted(config.arms)]
    groups = {
        arm: sorted((e for e in experiments if e.arm == arm), key=lambda e: e.number)
        for arm in arms
    }
    fewest = min(len(group) for group in groups.values())
    return [_standing(arm, arm or config.policy, groups[arm], noise, fewest) for arm in arms]


def gain_of(experiment: Experiment, noise: Noise) -> Estimate | None:
    """Return what is believed of the gain over the baseline's mean, whose noise counts too."""
    judged = experiment.judgement
    if judged is None or judged.estimate is None:
        return None
    known = judged.estimate
    spread = math.sqrt(known.sd**2 + noise.sd**2 / noise.seeds)
    return Estimate(mean=noise.mean - known.mean, sd=spread)


def _standing(
    arm: Policy | None, policy: Policy, group: Sequence[Experiment], noise: Noise, fewest: int
) -> ArmStanding:
    told = [(e.number, gain) for e in group if (gain := gain_of(e, noise)) is not None]
    first = {e.number for e in group[:fewest]}
    gains = np.array([gain.mean for _, gain in told])
    return ArmStanding(
        policy=policy,
        control=arm is not None,
        experiments=len(group),
        scored=len(told),
        cpu_seconds=sum(e.outcome.cost.cpu_seconds for e in group if e.outcome),
        mean=float(gains.mean()) if told else None,
        mean_interval=_mean_interval(gains) if len(told) > 1 else None,
        best=_best(told, quantile(noise)) if told else None,
        at_equal=max((gain.mean for number, gain in told if number in first), default=None),
    )


def _mean_interval(gains: np.ndarray) -> Interval:
    count = len(gains)
    half = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2) * gains.std(ddof=1) / math.sqrt(count))
    return Interval(low=float(gains.mean()) - half, high=float(gains.mean()) + half)


def _best(told: Sequence[tuple[int, Estimate]], limit: float) -> Best:
    number, gain = max(told, key=lambda one: one[1].mean)
    half = limit * gain.sd
    interval = Interval(low=gain.mean - half, high=gain.mean + half)
    return Best(number=number, gain=gain.mean, interval=interval)
