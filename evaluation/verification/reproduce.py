"""A certificate's holdout trials once more, and whether they say the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from move37.evaluation.statistics.intervals import Array
from move37.evaluation.tiers import Tier, load_tier
from move37.evaluation.verification.certificate import Certificate, Machine, this_machine
from move37.evaluation.verification.compare import Comparison, compare
from move37.evaluation.verification.runs import Bench, Job
from move37.evaluation.verification.trial import Trial
from move37.records import Failed, Finite, Provenance, UserError, Value


class Remeasured(Value):
    """The trials of a certificate here, beside what it says of the same seeds.

    `gain` and `told` are nats against the matched twin, here and in the certificate; `differing`
    losses are not the same to the bit. `exact`: on the certificate's machine all have to be. Else
    the gains may differ by `tolerance`, half of the certificate's paired interval.
    """

    exact: bool
    seeds: int
    trials: int
    differing: int
    gain: Finite
    told: Finite
    tolerance: Finite


class Agreement(Value):
    """Whether a certificate holds here; without `figures` where a design failed in either place."""

    agrees: bool
    reason: str
    figures: Remeasured | None = None


def tier_of(certificate: Certificate) -> Tier:
    """Return the tier to run at: the certificate's own.

    Raises:
        UserError: Move37 has another tier by that name, so the numbers would not compare.
    """
    stored = certificate.tier
    ours = _shipped(stored.name)
    if ours is not None and ours.digest != stored.digest:
        raise UserError(
            f"the certificate is of another tier {stored.name!r} ({stored.digest}) than this "
            f"version has ({ours.digest}): use Move37 {certificate.version}, or verify again"
        )
    return stored


def _shipped(name: str) -> Tier | None:
    """Return the tier that Move37 itself has under a name; a user's own has its file."""
    try:
        return None if name.endswith(".toml") else load_tier(name)
    except UserError:
        return None


def require_data(certificate: Certificate, found: Provenance) -> None:
    """Refuse to compare losses on other data.

    Raises:
        UserError: the corpus here is not the certificate's.
    """
    if certificate.provenance.data != found.data:
        raise UserError(
            f"the certificate was measured on other data ({certificate.provenance.data}) than "
            f"there is here ({found.data}): give its text with --text, or run it with Python "
            f"{certificate.machine.python}, whose own sources are the default text"
        )


def same_bits(certificate: Certificate, found: Provenance, machine: Machine) -> bool:
    """Whether every loss must come out the same to the bit."""
    theirs = certificate.provenance
    return certificate.machine == machine and theirs.evaluator == found.evaluator


def reproduce(bench: Bench, certificate: Certificate, count: int | None = None) -> Agreement:
    """Run the holdout trials of the first `count` seeds again; of all by default."""
    result = certificate.result
    if isinstance(result, Failed):
        return _fails_again(bench, certificate, result)
    seeds = certificate.seeds.holdout[:count]
    programs = {
        result.candidate.program: certificate.subject.code,
        result.baseline.program: certificate.root,
    }
    arms = (result.candidate, result.twin, result.baseline)
    jobs = [
        Job(source=programs[arm.program], setup=arm.setup, seed=seed)
        for arm in arms
        for seed in seeds
    ]
    outcomes = bench.run("holdout", jobs)
    failed = next((one for one in outcomes if isinstance(one, Failed)), None)
    if failed is not None:
        reason = f"a trial failed here at {failed.stage}: {failed.reason}"
        return Agreement(agrees=False, reason=reason)
    losses = np.array([one.loss for one in outcomes if isinstance(one, Trial)])
    exact = same_bits(certificate, bench.evaluator.provenance, this_machine())
    return agreement(result, losses.reshape(len(arms), -1), seeds, exact=exact)


def agreement(result: Comparison, losses: Array, seeds: Sequence[int], *, exact: bool) -> Agreement:
    """Compare losses [3, N] of candidate, twin and baseline on N seeds with a certificate's."""
    arms = (result.candidate, result.twin, result.baseline)
    stored = np.array([result.losses(arm, seeds) for arm in arms])
    differing = int((losses != stored).sum())
    gain, told = (float((rows[1] - rows[0]).mean()) for rows in (losses, stored))
    interval = result.claim.against_twin.interval
    tolerance = 0.0 if exact else (interval.high - interval.low) / 2
    reason = f"{differing} of {losses.size} losses differ in their bits"
    if not exact:
        reason += (
            f", as they may elsewhere; the gains differ by {abs(gain - told):.4f} nats, and its "
            f"own interval leaves {tolerance:.4f} to chance"
        )
    return Agreement(
        agrees=differing == 0 if exact else abs(gain - told) <= tolerance,
        reason=reason,
        figures=Remeasured(
            exact=exact,
            seeds=len(seeds),
            trials=losses.size,
            differing=differing,
            gain=gain,
            told=told,
            tolerance=tolerance,
        ),
    )


def _fails_again(bench: Bench, certificate: Certificate, told: Failed) -> Agreement:
    """A design that failed has to fail at the same stage."""
    code = certificate.subject.code
    found: object = bench.evaluator.admit(code)
    if not isinstance(found, Failed):
        found = compare(bench, code, certificate.root, (0, 0), certificate.seeds)
    here = f"at {found.stage}" if isinstance(found, Failed) else "not at all"
    return Agreement(
        agrees=isinstance(found, Failed) and found.stage == told.stage,
        reason=f"it failed at {told.stage} in the certificate, and {here} here",
    )
