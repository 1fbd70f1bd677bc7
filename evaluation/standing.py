"""Where candidates stand against the noise of the baseline; pure arithmetic over records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import stdtrit
from scipy.stats import norm

from move37.evaluation.statistics.intervals import Interval
from move37.evaluation.statistics.many import Corrected, correct_best
from move37.records import Campaign, Estimate, Experiment, Finite, Measured, Noise, Value

if TYPE_CHECKING:
    from move37.evaluation.calibration.null import Null

TASK = "text"
CONFIDENCE = 0.95
# Fewer designs say too little of their spread for the best of them to be corrected.
FEWEST = 4
# A design that hardly learns is not of the others' kind and must not widen their spread: so many
# SDs below the median.
FARTHEST = 4.0
# The SD of a normal over its median absolute deviation.
MAD = 1.4826

Verdict = Literal["within noise", "better, not yet verified", "worse", "no baseline"]


class Against(Value):
    """A difference to the baseline's mean in nats, and its standard deviation if nothing changed.

    Negative is better. `sd` counts the noise of the candidate's seeds and of the baseline's mean;
    `limit` is where the 95 % range of such a difference ends: Student's t, because few seeds know
    their own spread badly.
    """

    delta: Finite
    sd: Finite
    limit: Finite

    @property
    def verdict(self) -> Verdict:
        """What may be said of the difference; never more than `not yet verified`."""
        if abs(self.delta) <= self.limit:
            return "within noise"
        return "better, not yet verified" if self.delta < 0 else "worse"


class Standing(Value):
    """One measured candidate as a line of the leaderboard; `loss` in nats per token, held out.

    `estimate` is what was believed of the true loss when the candidate was judged: the loss, shrunk
    towards what its parent let expect.
    """

    experiment: Experiment
    name: str
    loss: Finite
    seeds: int
    parameters: int
    against: Against | None
    estimate: Estimate | None

    @property
    def verdict(self) -> Verdict:
        """What may be said of this candidate's loss."""
        return self.against.verdict if self.against else "no baseline"


def against(loss: float, seeds: int, noise: Noise) -> Against:
    """Compare a loss over `seeds` seeds with the baseline; one seed gives sd * sqrt(1 + 1/n)."""
    spread = noise.sd * math.sqrt(1 / seeds + 1 / noise.seeds)
    return Against(delta=loss - noise.mean, sd=spread, limit=quantile(noise) * spread)


def quantile(noise: Noise) -> float:
    """Return half the 95 % range of Student's t in SDs that so many seeds have told."""
    return float(stdtrit(max(1, noise.seeds - 1), (1 + CONFIDENCE) / 2))


def text_noise(campaign: Campaign) -> Noise | None:
    """Return the noise of the held-out loss, or None before the baseline was measured."""
    return campaign.baseline.noise.get(TASK) if campaign.baseline else None


def name_of(experiment: Experiment) -> str:
    """Return the proposal's name, or a dash when nothing was proposed."""
    return experiment.proposal.name if experiment.proposal else "-"


def standings(campaign: Campaign, experiments: Sequence[Experiment]) -> list[Standing]:
    """Rank what was measured: by fitness from the highest, then what has none, by loss."""
    noise = text_noise(campaign)
    lines = [
        _standing(experiment, experiment.outcome, noise)
        for experiment in experiments
        if isinstance(experiment.outcome, Measured) and _seeds(experiment.outcome)
    ]
    return sorted(lines, key=_rank)


def best(campaign: Campaign, experiments: Sequence[Experiment]) -> Standing | None:
    """Return the scored candidate of the highest fitness, or None when nothing was scored."""
    ranked = standings(campaign, experiments)
    return ranked[0] if ranked and ranked[0].experiment.fitness is not None else None


def luck_of(tries: int, sd: float) -> float:
    """Return by how much the best of `tries` designs would lead if all of them were equal.

    The expected largest of n normal draws, by Blom's approximation (Blom 1958).
    """
    return sd * NormalDist().inv_cdf((tries - 0.375) / (tries + 0.25)) if tries > 1 else 0.0


def luck_told(tries: int, sd: float, null: Null | None) -> str:
    """Say how well the best of `tries` equal designs would stand: measured, else from the noise."""
    if null is None or tries < 1:
        return (
            f"The luckiest of {tries} equal designs would stand near {0 - luck_of(tries, sd):.4f}."
        )
    best = null.best_of(tries)
    return (
        f"Of {tries} copies of the root, each with a seed of its own, the luckiest stands near "
        f"{-best.median:+.4f}, and in one campaign of twenty beyond {-best.high:+.4f} (calibrated)."
    )


class Luckless(Value):
    """The lowest loss of all, and its gain once the luck of being the best is taken off."""

    standing: Standing
    corrected: Corrected


def without_luck(campaign: Campaign, experiments: Sequence[Experiment]) -> Luckless | None:
    """Correct the gain of the lowest loss for having been the best of so many looks.

    `correct_best` over all measured designs. The interval also counts the noise of the baseline's
    mean, which all gains share, and is Student's t, because few seeds know their own spread badly.
    None without a baseline or with fewer than four that learned.
    """
    noise, lines = text_noise(campaign), standings(campaign, experiments)
    if noise is None or len(lines) < FEWEST:
        return None
    gains = np.array([noise.mean - line.loss for line in lines])
    middle = float(np.median(gains))
    spread = max(noise.sd, MAD * float(np.median(np.abs(gains - middle))))
    sd = noise.sd / math.sqrt(min(line.seeds for line in lines))
    learned = np.flatnonzero(gains >= middle - FARTHEST * spread)
    if len(learned) < FEWEST:
        return None
    found = correct_best(gains[learned], sd, CONFIDENCE)
    ours = (found.interval.high - found.gain) / float(norm.isf((1 - CONFIDENCE) / 2))
    half = quantile(noise) * math.hypot(ours, noise.sd / math.sqrt(noise.seeds))
    interval = Interval(low=found.gain - half, high=found.gain + half)
    place = int(learned[found.place])
    corrected = found.model_copy(
        update={"place": place, "interval": interval, "screened": len(lines)}
    )
    return Luckless(standing=lines[place], corrected=corrected)


def _standing(experiment: Experiment, measured: Measured, noise: Noise | None) -> Standing:
    loss, seeds = measured.loss(TASK), _seeds(measured)
    return Standing(
        experiment=experiment,
        name=name_of(experiment),
        loss=loss,
        seeds=seeds,
        parameters=measured.size.parameters,
        against=against(loss, seeds, noise) if noise else None,
        estimate=experiment.judgement.estimate if experiment.judgement else None,
    )


def _seeds(measured: Measured) -> int:
    return sum(score.task == TASK for score in measured.scores)


def _rank(line: Standing) -> tuple[bool, float, float]:
    fitness = line.experiment.fitness
    return (fitness is None, -(fitness or 0.0), line.loss)
