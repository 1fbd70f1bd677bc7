"""When a run is stopped early: rules and plans over curves, without any training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from move37.evaluation.forecast import features, fit
from move37.evaluation.pruning import (
    RULE,
    Cut,
    Forecast,
    Look,
    Past,
    Plan,
    Rule,
    checks,
    is_spared,
    reason_to_stop,
    smoothed,
)

STEPS = 100
HALVING = Rule(looks=(Look(at=0.25, kept=0.5), Look(at=0.5, kept=0.25)), good=1, margin=0)


def falling(final: float, steps: int = STEPS) -> list[float]:
    """A curve that falls from 5 towards `final` nats."""
    return [final + (5.0 - final) * math.exp(-6.0 * step / STEPS) for step in range(steps)]


def ended(final: float, steps: int = STEPS) -> Past:
    """A run that went to its end, or was stopped after so many steps."""
    losses = smoothed(falling(final, steps), 4.0)
    return Past(losses, final if steps == STEPS else math.inf)


def test_smoothing_is_the_weighted_mean_of_what_was_seen() -> None:
    losses = [3.0, 1.0, 2.0]
    found = smoothed(losses, 2.0)
    assert found == pytest.approx([3.0, (0.5 * 3 + 1) / 1.5, (0.25 * 3 + 0.5 * 1 + 2) / 1.75])
    assert list(smoothed(losses, 1.0)) == losses


def test_a_run_is_held_to_the_better_half_at_the_same_step_and_then_to_a_quarter() -> None:
    past = [ended(1.0 + 0.1 * place) for place in range(8)]
    first, second = checks(HALVING, past, STEPS)
    assert isinstance(first, Cut)
    assert isinstance(second, Cut)
    assert (first.step, second.step) == (25, 50)
    assert first.largest == past[3].losses[24]
    assert second.largest == past[1].losses[49]


def test_what_was_stopped_counts_as_worse_at_every_later_look() -> None:
    past = [ended(1.0 + 0.1 * place, STEPS if place < 4 else 25) for place in range(8)]
    first, second = checks(HALVING, past, STEPS)
    assert isinstance(second, Cut)
    assert second.largest == past[1].losses[49]
    assert first == checks(HALVING, [ended(1.0 + 0.1 * place) for place in range(8)], STEPS)[0]


def test_a_run_is_stopped_only_at_a_look_and_with_the_figures_that_say_why() -> None:
    plan = Plan(window=4.0, checks=checks(HALVING, [ended(1.0 + 0.1 * n) for n in range(8)], STEPS))
    slow, fast = falling(1.75), falling(0.95)
    assert [n for n in range(1, STEPS) if reason_to_stop(plan, slow[:n])] == [25, 50]
    assert not any(reason_to_stop(plan, fast[:n]) for n in range(1, STEPS))
    told = reason_to_stop(plan, slow[:25])
    assert f"loss {smoothed(slow[:25], 4.0)[-1]:.4f} at step 25" in told
    assert "after 8 runs" in told


def test_nothing_is_stopped_before_there_is_enough_to_compare_with() -> None:
    past = [ended(1.0 + 0.1 * place) for place in range(HALVING.fewest)]
    assert checks(HALVING, past[1:], STEPS) == ()
    assert len(checks(HALVING, past, STEPS)) == 2


def test_no_look_falls_into_the_warm_up() -> None:
    with pytest.raises(ValidationError, match=r"greater than 0\.1"):
        Look(at=0.1, kept=0.5)
    assert min(look.at for look in RULE.looks) > 0.1


def test_the_lot_falls_on_one_run_in_twenty_and_always_on_the_same() -> None:
    rule = HALVING.model_copy(update={"spared": 0.05})
    drawn = [is_spared(rule, f"run-{number}") for number in range(4000)]
    # Four standard deviations of a binomial share of 0.05 in 4,000.
    assert abs(sum(drawn) / 4000 - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 4000)
    assert drawn == [is_spared(rule, f"run-{number}") for number in range(4000)]
    assert not any(is_spared(rule.model_copy(update={"spared": 0.0}), str(n)) for n in range(100))
    assert all(is_spared(rule.model_copy(update={"spared": 1.0}), str(n)) for n in range(100))


def test_a_line_finds_the_coefficients_and_the_error_of_new_runs() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 3))
    finals = 2.0 + rows @ [1.0, -0.5, 0.25] + rng.normal(scale=0.1, size=400)
    line = fit(rows, finals)
    assert line.intercept == pytest.approx(2.0, abs=0.03)
    assert line.weights == pytest.approx((1.0, -0.5, 0.25), abs=0.03)
    fresh = rng.normal(size=(4000, 3))
    truth = 2.0 + fresh @ [1.0, -0.5, 0.25] + rng.normal(scale=0.1, size=4000)
    errors = truth - [line.at(row) for row in fresh]
    assert line.sd == pytest.approx(float(np.sqrt(np.mean(errors**2))), rel=0.1)


def test_the_error_of_a_line_through_few_runs_is_not_flattered() -> None:
    rng = np.random.default_rng(1)
    told, true = [], []
    for _ in range(300):
        rows, noise = rng.normal(size=(8, 3)), rng.normal(size=(8,))
        line = fit(rows, noise)
        told.append(line.sd**2)
        true.append(np.mean([(rng.normal() - line.at(rng.normal(size=3))) ** 2 for _ in range(20)]))
    assert np.mean(told) == pytest.approx(np.mean(true), rel=0.25)


def test_features_are_the_last_loss_and_two_decrements() -> None:
    losses = np.array([9.0, 7.0, 6.0, 5.5, 5.25])
    assert list(features(losses, 5, 2)) == [5.25, 0.75, 3.0]
    assert list(features(losses, 2, 4)) == [7.0, 2.0, 0.0]


def test_a_curve_that_foretells_a_worse_end_is_stopped_by_more_than_its_error() -> None:
    rule = Rule(looks=(Look(at=0.5, kept=1),), good=0.25, margin=2, fewest=4)
    past = [ended(1.0 + 0.1 * place) for place in range(12)]
    (check,) = checks(rule, past, STEPS)
    assert isinstance(check, Forecast)
    assert check.largest == pytest.approx(1.2)
    assert check.margin == pytest.approx(2 * check.line.sd)
    plan = Plan(window=4.0, checks=(check,))
    assert "foretold at step 50" in reason_to_stop(plan, falling(2.0)[:50])
    assert reason_to_stop(plan, falling(1.1)[:50]) == ""
    # Beyond the cut, but by less than the error.
    wide = check.model_copy(update={"margin": 2.0})
    assert reason_to_stop(Plan(window=4.0, checks=(wide,)), falling(2.0)[:50]) == ""


def test_a_forecast_needs_runs_that_ended() -> None:
    rule = Rule(looks=(Look(at=0.5, kept=1),), good=0.25, margin=0, fewest=4)
    stopped = [ended(1.5 + 0.1 * place, 60) for place in range(8)]
    assert checks(rule, stopped, STEPS) == ()
    assert checks(rule, [*stopped, *(ended(1.0 + 0.1 * n) for n in range(3))], STEPS) == ()
    assert len(checks(rule, [*stopped, *(ended(1.0 + 0.1 * n) for n in range(6))], STEPS)) == 1
