"""A/A: a campaign whose proposer hands in the root again, so that whatever it claims is false.

A null candidate is the root's code with randomness of its own: it is trained at a seed far from
the baseline's with which it is paired. At the same seed it would be the baseline bit by bit, and
nothing could be claimed of it. Data order, windows and first weights differ within such a pair,
so a difference is noisier than that of a real candidate, which shares the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from move37.arch_templates.catalog import template_source
from move37.evaluation.calibration.null import Decisions, Null, Origin
from move37.evaluation.calibration.pairs import TEXT
from move37.evaluation.calibration.runs import Job, Run, Runs
from move37.evaluation.statistics.intervals import Array
from move37.evaluation.statistics.staged import HOLDOUT, REPEATS, Places, cost, staged
from move37.evaluation.tiers import Tier
from move37.evaluation.verification.claim import ALPHA, Claim, claim, keep_true, least_gain
from move37.evaluation.verification.seeds import FIRST_HOLDOUT
from move37.records import Provenance

HOLDOUT_SEEDS = range(FIRST_HOLDOUT, FIRST_HOLDOUT + HOLDOUT)
# What lies between the seeds of two candidates.
OFFSET = 100_000
# One finalist for so many candidates.
FINALIST_OF = 12
# Fewer cannot be staged.
FEWEST = 4
ROOT = "delta_net"
# Of each kind of simulation; 120 runs of candidates in a campaign.
CAMPAIGNS, SIMULATED = 200, 57

Draw = Callable[[tuple[int, ...]], Array]


class Size(NamedTuple):
    """Candidates and finalists of a campaign; fewest gain in nats and seeds of the noise floor."""

    candidates: int
    finalists: int
    least: float
    baseline_seeds: int

    @property
    def runs(self) -> int:
        """Runs of candidates and baseline."""
        known = set(range(self.baseline_seeds)) | set(range(REPEATS))
        return cost(self.candidates, self.finalists) + len(known) + HOLDOUT


class Losses(Protocol):
    """Where held-out losses come from."""

    def candidates(self, places: Places, seeds: Sequence[int]) -> Array:
        """Return the losses [K, N] of the candidates at these places [K], paired with N seeds."""

    def baseline(self, seeds: Sequence[int]) -> Array:
        """Return the losses [N] of the baseline."""


class Played(NamedTuple):
    """What a campaign came to: a claim for each finalist."""

    claims: tuple[Claim, ...]

    def decided(self, origin: Origin, size: Size) -> Decisions:
        """Count what was claimed, as the result of one campaign."""
        return Decisions(
            origin=origin,
            campaigns=1,
            candidates=size.candidates,
            decisions=len(self.claims),
            false_claims=sum(one.verdict == "discovery" for one in self.claims),
            sure=sum(one.against_twin.p < ALPHA for one in self.claims),
        )


def sized(candidates: int, least: float, baseline_seeds: int) -> Size:
    """Return the size of a campaign of so many candidates, of which one in twelve is a finalist."""
    return Size(candidates, max(1, candidates // FINALIST_OF), least, baseline_seeds)


def measure(runs: Runs, tier: Tier, provenance: Provenance, candidates: int) -> Null:
    """Play one campaign of real runs of the root, and many with noise like that of its losses.

    Raises:
        ValueError: fewer than four candidates.
        RuntimeError: the root does not train, which is a fault of ours.
    """
    size = sized(candidates, tier.least, tier.baseline_seeds)
    trained = Trained(runs, template_source(ROOT), size)
    real = play(trained, size).decided("real", size)
    larger = sized(SIMULATED, tier.least, tier.baseline_seeds)
    return Null(
        tier=tier.name,
        root=ROOT,
        losses=tuple(trained.all.tolist()),
        baseline_seeds=tier.baseline_seeds,
        decisions=(
            real,
            simulate(trained.all, "drawn", larger, CAMPAIGNS),
            simulate(trained.all, "resampled", larger, CAMPAIGNS),
        ),
        provenance=provenance,
    )


def play(losses: Losses, size: Size) -> Played:
    """Take all candidates through selection and claim, as a campaign would.

    One seed for all, three for the best third, and for each finalist the eight holdout seeds,
    against the twin. The root is its own twin: it has its own size, and was tuned alike.

    Raises:
        ValueError: fewer than four candidates, or more finalists than a third of them.
    """
    noise = losses.baseline(range(size.baseline_seeds))
    least = least_gain(float(noise.std(ddof=1)), size.least)
    stages = iter([range(1), range(1, REPEATS), HOLDOUT_SEEDS])
    finals: list[Array] = []

    def measure(places: Places, more: int) -> Array:
        seeds = next(stages)
        if len(seeds) != more:
            raise ValueError(f"the staged seeds ask for {more} where {len(seeds)} are foreseen")
        ours = losses.candidates(places, seeds)
        finals[:] = list(ours)
        gains: Array = losses.baseline(seeds) - ours
        return gains

    staged(measure, size.candidates, size.finalists)
    twin = losses.baseline(HOLDOUT_SEEDS)
    return Played(tuple(keep_true([claim(ours, twin, twin, least) for ours in finals])))


class Trained:
    """Losses of real runs on text."""

    def __init__(self, runs: Runs, source: str, size: Size) -> None:
        self._runs = runs
        self._source = source
        self._seen: dict[int, float] = {}
        # What is needed whatever comes of it: in one go, so that no slot waits.
        seeds = [*range(max(size.baseline_seeds, REPEATS)), *HOLDOUT_SEEDS]
        self._of([*seeds, *(seed_of(place, 0) for place in range(size.candidates))])

    def candidates(self, places: Places, seeds: Sequence[int]) -> Array:
        """Train the root at seeds that belong to these places."""
        wanted = [seed_of(int(place), seed) for place in places for seed in seeds]
        return self._of(wanted).reshape(len(places), len(seeds))

    def baseline(self, seeds: Sequence[int]) -> Array:
        """Train the root at the seeds themselves."""
        return self._of(seeds)

    @property
    def all(self) -> Array:
        """Every loss [N] so far, of as many seeds, in their order."""
        return np.array([self._seen[seed] for seed in sorted(self._seen)])

    def _of(self, seeds: Sequence[int]) -> Array:
        jobs = [Job(self._source, TEXT, seed) for seed in seeds]
        found = self._runs.all(jobs)
        losses = [_loss(found[job]) for job in jobs]
        self._seen |= dict(zip(seeds, losses, strict=True))
        return np.array(losses)


class Simulated:
    """Losses that are drawn; a seed of the baseline has one loss however often it is asked for."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._known: dict[int, float] = {}

    def candidates(self, places: Places, seeds: Sequence[int]) -> Array:
        """Draw losses of their own for each candidate and seed."""
        return self._draw((len(places), len(seeds)))

    def baseline(self, seeds: Sequence[int]) -> Array:
        """Draw a loss for each seed that was not asked for before."""
        fresh = [seed for seed in seeds if seed not in self._known]
        self._known |= dict(zip(fresh, self._draw((len(fresh),)).tolist(), strict=True))
        return np.array([self._known[seed] for seed in seeds])


def simulate(losses: Array, origin: Origin, size: Size, campaigns: int, seed: int = 0) -> Decisions:
    """Play many campaigns with noise like that of real losses [N] of one design.

    `drawn` takes normal noise of their SD, `resampled` takes the losses themselves, with
    replacement, so that it holds for their own distribution, but never beyond the worst of them.

    Raises:
        ValueError: fewer than two losses.
    """
    if len(losses) < 2:
        raise ValueError("noise needs two losses at least")
    rng = np.random.default_rng(seed)
    centre, sd = float(losses.mean()), float(losses.std(ddof=1))

    def draw(shape: tuple[int, ...]) -> Array:
        if origin == "resampled":
            return rng.choice(losses, shape)
        return rng.normal(centre, sd, shape)

    return Decisions.joined(
        [play(Simulated(draw), size).decided(origin, size) for _ in range(campaigns)]
    )


def seed_of(place: int, seed: int) -> int:
    """Return the seed at which a candidate is trained that is paired with the baseline's."""
    return OFFSET * (place + 1) + seed


def _loss(outcome: object) -> float:
    if not isinstance(outcome, Run):
        raise RuntimeError(f"the root could not be measured: {outcome}")
    return outcome.loss
