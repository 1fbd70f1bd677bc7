"""Campaigns of copies: nothing may be claimed of them, and a planted gain must be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from move37.evaluation.calibration.identity import (
    HOLDOUT_SEEDS,
    Simulated,
    Size,
    Trained,
    play,
    seed_of,
    simulate,
    sized,
)
from move37.evaluation.calibration.null import Decisions, Null, load_null, save_null
from move37.evaluation.calibration.runs import Job, Run
from move37.evaluation.statistics.intervals import Array
from move37.evaluation.statistics.staged import Places
from move37.records import Failed, Provenance

PROVENANCE = Provenance(evaluator="e", data="d", tier="t", torch="2", machine="m", isolation="i")
SD = 0.006
POOL = np.random.default_rng(1).normal(1.8, SD, 44)
SIZE = sized(12, least=0.03, baseline_seeds=8)


class Shifted(Simulated):
    """Candidates that are better by so many nats than copies would be."""

    def __init__(self, shift: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        super().__init__(lambda shape: rng.normal(1.8, SD, shape))
        self._shift = shift

    def candidates(self, places: Places, seeds: Sequence[int]) -> Array:
        return super().candidates(places, seeds) - self._shift


class Counted:
    """Runs of a loss that is told by the seed, and a note of what was asked for."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def all(self, jobs: Sequence[Job]) -> dict[Job, Run | Failed]:
        self.jobs += jobs
        return {
            job: Run(metric=job.metric, seed=job.seed, loss=_loss(job.seed), seconds=1.0)
            for job in jobs
        }


def _loss(seed: int) -> float:
    return float(np.random.default_rng(seed).normal(1.8, SD))


def _null(**changes: object) -> Null:
    decisions = Decisions(
        origin="drawn", campaigns=100, candidates=57, decisions=400, false_claims=0, sure=1
    )
    null = Null(
        tier="smoke",
        root="delta_net",
        losses=tuple(POOL.tolist()),
        baseline_seeds=8,
        decisions=(decisions,),
        provenance=PROVENANCE,
    )
    return null.model_copy(update=changes)


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_gain_of_a_tenth_of_a_nat_is_claimed(seed: int) -> None:
    claims = play(Shifted(0.1, seed), SIZE).claims
    assert [one.verdict for one in claims] == ["discovery"]
    assert claims[0].against_twin.gain == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_null_is_not_claimed(seed: int) -> None:
    claims = play(Shifted(0.0, seed), SIZE).claims
    assert [one.verdict for one in claims if one.verdict == "discovery"] == []


def test_hundreds_of_null_decisions_hold_no_more_than_one_false_claim_in_a_hundred() -> None:
    for origin in ("drawn", "resampled"):
        found = simulate(POOL, origin, sized(57, 0.03, 8), campaigns=80)
        assert found.decisions == 320
        assert found.false_claims <= 3


def test_without_a_least_gain_p_alone_is_false_about_as_often_as_it_says() -> None:
    found = simulate(POOL, "drawn", Size(12, 4, 0.03, 8), campaigns=1000)
    # 4,000 decisions at 0.001: 4 expected; a share of 0.005 would give fewer than 13 once in 50.
    assert found.sure <= 13


@pytest.mark.parametrize(("false", "passed"), [(4, True), (5, False)])
def test_one_false_claim_in_a_hundred_passes_and_more_do_not(false: int, passed: bool) -> None:
    found = _null().decisions[0].model_copy(update={"false_claims": false})
    assert _null(decisions=(found,)).passed is passed


def test_too_few_decisions_prove_nothing() -> None:
    few = _null().decisions[0].model_copy(update={"decisions": 299})
    assert _null(decisions=(few,)).passed is False


def test_real_runs_share_no_seed_and_are_as_many_as_foreseen() -> None:
    runs = Counted()
    trained = Trained(runs, "source", SIZE)  # type: ignore[arg-type]
    play(trained, SIZE)
    seeds = {job.seed for job in runs.jobs}
    assert len(seeds) == len(trained.all) == SIZE.runs == 44
    assert {job.metric for job in runs.jobs} == {"text"}
    # Every copy has seeds of its own, apart from the baseline's and from each other's.
    assert len({seed_of(place, s) for place in range(12) for s in (0, 1, 2, *HOLDOUT_SEEDS)}) == 132


def test_the_holdout_seeds_serve_no_selection() -> None:
    asked: list[tuple[int, ...]] = []

    class Noted(Shifted):
        def candidates(self, places: Places, seeds: Sequence[int]) -> Array:
            asked.append(tuple(seeds))
            return super().candidates(places, seeds)

    play(Noted(0.0, 1), SIZE)
    assert asked == [(0,), (1, 2), tuple(HOLDOUT_SEEDS)]
    assert min(HOLDOUT_SEEDS) > 1000


def test_the_best_of_many_copies_agrees_with_the_known_distribution() -> None:
    sd = float(POOL.std(ddof=1))
    # Of 32 normal draws the largest has its median at the 0.5^(1/32) quantile, 2.02 sigma.
    assert _null(baseline_seeds=10_000).best_of(32).median == pytest.approx(2.02 * sd, rel=0.03)
    one = _null().best_of(1)
    assert abs(one.median) < 0.1 * sd
    assert one.high == pytest.approx(1.645 * sd * (1 + 1 / 8) ** 0.5, rel=0.05)


def test_losses_drawn_again_never_beat_the_best_that_was_measured() -> None:
    best = _null(baseline_seeds=10_000).best_of(1000, "resampled")
    assert best.high == pytest.approx(POOL.mean() - POOL.min(), abs=1e-3)


def test_a_null_is_found_under_its_hashes_only(tmp_path: Path) -> None:
    null = _null()
    save_null(null, tmp_path, "code")
    assert load_null(tmp_path, "smoke", PROVENANCE, "code") == null
    other = PROVENANCE.model_copy(update={"evaluator": "other"})
    assert load_null(tmp_path, "smoke", other, "code") is None
    assert load_null(tmp_path, "smoke", PROVENANCE, "other code") is None
    assert load_null(tmp_path, "laptop", PROVENANCE, "code") is None


def test_noise_of_one_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="two losses"):
        simulate(POOL[:1], "drawn", SIZE, 1)
