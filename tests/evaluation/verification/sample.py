"""A certificate made up of records: losses of three arms on eight holdout seeds."""

from __future__ import annotations

import numpy as np

from move37.evaluation.statistics.intervals import Array
from move37.evaluation.statistics.paired import paired_gain
from move37.evaluation.tiers import load_tier
from move37.evaluation.verification.cause import Cause, NotHad, Removed
from move37.evaluation.verification.certificate import (
    Ancestor,
    Certificate,
    Origin,
    Subject,
    this_machine,
)
from move37.evaluation.verification.claim import claim, least_gain
from move37.evaluation.verification.compare import (
    Arm,
    Comparison,
    NotTuned,
    Recorded,
    Split,
    Tuned,
    Tuning,
)
from move37.evaluation.verification.runs import code_hash
from move37.evaluation.verification.seeds import seeds_of
from move37.evaluation.verification.trial import Setup, Trial
from move37.records import CurvePoint, Failed, GateReport, GateResult, Provenance

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>[bold]x[/bold]"
CODE, ROOT = "class TokenMixer: ...  # <b>candidate</b>\n", "class TokenMixer: ...\n"
TIER = load_tier("smoke")
SEEDS = seeds_of(8)
PLAIN = Setup(hidden=32, expansion=2.0)
TWIN = Setup(hidden=32, expansion=2.5, factor=3.0)


def trial(seed: int, loss: float, setup: Setup = PLAIN, parameters: int = 27_712) -> Trial:
    gates = tuple(
        GateResult(id=gate, name="again", passed=True, figure=1e-6 * seed, threshold=1e-3)
        for gate in ("G1", "G7")
    )
    points = (CurvePoint(task="text", step=s, loss=loss + 1 / s, seconds=0.1) for s in (1, 2, 4))
    return Trial(
        seed=seed,
        setup=setup,
        loss=loss,
        tokens=1024,
        parameters=parameters,
        mixer_parameters=11_168,
        curve=tuple(points),
        audit=GateReport(gates=gates, seconds=0.1),
        decode_ms=1.5,
        decode_rows=16,
        cpu_seconds=1.0,
        peak_bytes=1 << 20,
    )


def losses(gain: float, size: float, noise: float = 0.005) -> tuple[Array, Array, Array]:
    """Losses [8] of candidate, twin and baseline; a gain of the idea, and one of the size."""
    draw = np.random.default_rng(0)
    baseline = 2.9 + 0.02 * draw.standard_normal(8)
    twin = baseline - size + noise * draw.standard_normal(8)
    return twin - gain + noise * draw.standard_normal(8), twin, baseline


def comparison(gain: float = 0.1, size: float = 0.0) -> Comparison:
    candidate, twin, baseline = losses(gain, size)
    sigma = float(baseline.std(ddof=1))
    rows = ((CODE, PLAIN, candidate), (ROOT, TWIN, twin), (ROOT, PLAIN, baseline))
    tried = (Tuned(factor=1.0, loss=2.9), NotTuned(factor=3.0, reason="train: diverged"))
    return Comparison(
        candidate=Arm(program=code_hash(CODE), setup=PLAIN, parameters=29_000, decode_ms=1.8),
        twin=Arm(program=code_hash(ROOT), setup=TWIN, parameters=28_900, decode_ms=1.6),
        baseline=Arm(program=code_hash(ROOT), setup=PLAIN, parameters=27_712, decode_ms=1.5),
        candidate_tuning=Tuning(best=1.0, tried=tried),
        twin_tuning=Tuning(best=3.0, tried=tried),
        claim=claim(candidate, twin, baseline, least_gain(sigma, TIER.least)),
        split=Split(
            size=paired_gain(twin, baseline),
            tuning=paired_gain(twin, twin),
            idea=paired_gain(candidate, twin),
            own_tuning=paired_gain(candidate, candidate),
        ),
        sigma=sigma,
        state_bytes=6336,
        baseline_state_bytes=6336,
        trials=tuple(
            Recorded(program=code_hash(code), trial=trial(seed, float(loss), setup))
            for code, setup, found in rows
            for seed, loss in zip(SEEDS.holdout, found, strict=True)
        ),
    )


def certificate(result: Comparison | Failed | None = None, name: str = "sharper") -> Certificate:
    found = result or comparison()
    compared = isinstance(found, Comparison)
    contribution = paired_gain(np.full(4, 2.8), np.array([2.9, 2.91, 2.9, 2.89]))
    removed = Removed(
        mechanism="adds the value residual",
        program="0" * 64,
        parameters=27_000,
        contribution=contribution,
    )
    return Certificate(
        version="0.1.0",
        made="2026-01-01T00:00:00Z",
        subject=Subject(
            name=name,
            motivation=HOSTILE,
            code=CODE,
            program=code_hash(CODE),
            origin=Origin(
                campaign="c",
                number=3,
                experiment="0" * 12,
                lineage=(Ancestor(number=3, name=name), Ancestor(number=0, name="delta_net")),
            ),
        ),
        verdict=found.claim.verdict if isinstance(found, Comparison) else "not better",
        reason=found.claim.reason if isinstance(found, Comparison) else found.reason,
        claims=1,
        tier=TIER,
        seeds=SEEDS,
        provenance=Provenance(
            evaluator="e", data="d", tier=TIER.digest, torch="2", machine="m", isolation="walls"
        ),
        machine=this_machine(),
        gates=GateReport(gates=(), seconds=0.0),
        root_name="delta_net",
        root=ROOT,
        result=found,
        cause=Cause(
            mechanisms=(removed, NotHad(mechanism=HOSTILE, reason=HOSTILE)) if compared else ()
        ),
    ).sealed()
