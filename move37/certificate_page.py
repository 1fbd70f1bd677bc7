"""A certificate as one HTML page that opens offline; hostile text in it is escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from move37.certificates import (
    fact_rows,
    gain_cells,
    more_told,
    removal_cells,
    split_rows,
)
from move37.evaluation.isolation.walls import CLEAN_ENVIRONMENT
from move37.evaluation.verification.certificate import Certificate
from move37.evaluation.verification.compare import Arm, Comparison
from move37.files import write_atomically
from move37.records import GateResult, Value
from move37.report import content_policy, template

Figure = dict[str, Any]
MARKS = {"discovery": "good", "not better": "bad"}


class SeedRow(Value):
    """Losses of one holdout seed, and by how much the design is ahead of its twin."""

    seed: int
    candidate: float
    twin: float
    baseline: float

    @property
    def gain(self) -> float:
        """Nats against the twin."""
        return self.twin - self.candidate


def write_page(certificate: Certificate, path: Path) -> Path:
    """Write the page of a certificate, whole or not at all, and return its path."""
    write_atomically(path, render_page(certificate))
    return path


def render_page(certificate: Certificate) -> str:
    """Return the page as HTML."""
    result = certificate.result
    compared = result if isinstance(result, Comparison) else None
    rows = seed_rows(certificate, compared) if compared else []
    figures = _figures(certificate, compared, rows) if compared else {}
    return template("certificate.html.j2").render(
        certificate=certificate,
        subject=certificate.subject,
        mark=MARKS.get(certificate.verdict, "even"),
        unwalled=certificate.provenance.isolation == CLEAN_ENVIRONMENT,
        result=compared,
        failed=None if compared else result,
        more=more_told(compared) if compared and certificate.verdict == "promising" else "",
        split=_gains(split_rows(certificate.root_name, compared)) if compared else [],
        facts=fact_rows(compared) if compared else (),
        rows=rows,
        audits=worst_audits(certificate, compared) if compared else [],
        cause=[(one.mechanism, *removal_cells(one)) for one in certificate.cause.mechanisms],
        tier=json.dumps(certificate.tier.model_dump(mode="json"), indent=1),
        figures=figures,
        library=Markup(get_plotlyjs()),
        policy=content_policy,
    )


def seed_rows(certificate: Certificate, result: Comparison) -> list[SeedRow]:
    """Return the holdout losses of design, twin and baseline seed by seed."""
    seeds = certificate.seeds.holdout
    columns = (
        result.losses(arm, seeds) for arm in (result.candidate, result.twin, result.baseline)
    )
    return [
        SeedRow(seed=seed, candidate=ours, twin=twin, baseline=base)
        for seed, ours, twin, base in zip(seeds, *columns, strict=True)
    ]


def worst_audits(certificate: Certificate, result: Comparison) -> list[GateResult]:
    """Return the largest figure of each audit over the trained weights of all holdout seeds."""
    arm, worst = result.candidate, dict[str, GateResult]()
    for recorded in result.trials:
        trial = recorded.trial
        if recorded.program != arm.program or trial.setup != arm.setup:
            continue
        if trial.seed not in certificate.seeds.holdout:
            continue
        for gate in trial.audit.gates:
            known = worst.get(gate.id)
            if known is None or (gate.figure or 0.0) > (known.figure or 0.0):
                worst[gate.id] = gate
    return list(worst.values())


def _gains(rows: Sequence[tuple[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(name, *gain_cells(gain)) for name, gain in rows]


def _figures(
    certificate: Certificate, result: Comparison, rows: Sequence[SeedRow]
) -> dict[str, Figure]:
    names = (certificate.subject.name, "matched twin", certificate.root_name)
    arms = (result.candidate, result.twin, result.baseline)
    labelled = zip(names, ("accent", "accent-2", "quiet"), arms, strict=True)
    curves = [
        _curve(certificate, result, arm) | {"name": html.escape(name), "meta": colour}
        for name, colour, arm in labelled
        # A twin that is the baseline itself would hide it.
        if arm is not result.twin or arm.setup != result.baseline.setup
    ]
    return {"gains": _gain_figure(result, rows), "curves": _curve_figure(curves)}


def _gain_figure(result: Comparison, rows: Sequence[SeedRow]) -> Figure:
    """Draw the gain of every seed, the interval of the mean, and what matters."""
    interval = result.claim.against_twin.interval
    points = {"x": [str(row.seed) for row in rows], "y": [row.gain for row in rows]}
    points |= {"type": "bar", "meta": "accent", "name": "gain of a seed"}
    across = {"type": "line", "xref": "paper", "x0": 0, "x1": 1}
    band = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "layer": "below", "name": "band"}
    least = result.claim.least
    shapes = [
        band | {"y0": interval.low, "y1": interval.high, "line": {"width": 0}},
        across | {"y0": least, "y1": least, "name": "good", "line": {"width": 1.5, "dash": "dot"}},
    ]
    axes = {
        "xaxis": {"title": {"text": "holdout seed"}, "type": "category"},
        "yaxis": {"title": {"text": "gain against the twin, nats"}},
    }
    return {
        "data": [points],
        "layout": {"height": 320, "showlegend": False} | axes | {"shapes": shapes},
    }


def _curve(certificate: Certificate, result: Comparison, arm: Arm) -> Figure:
    """Return the mean training curve of one arm over the holdout seeds."""
    curves = [
        recorded.trial.curve
        for recorded in result.trials
        if recorded.program == arm.program
        and recorded.trial.setup == arm.setup
        and recorded.trial.seed in certificate.seeds.holdout
    ]
    steps = [point.step for point in curves[0]]
    means = np.mean([[point.loss for point in curve] for curve in curves], axis=0)
    return {"type": "scatter", "mode": "lines", "x": steps, "y": means.tolist()}


def _curve_figure(data: list[Figure]) -> Figure:
    x, y = {"title": {"text": "step"}}, {"title": {"text": "training loss, mean of the seeds"}}
    return {"data": data, "layout": {"height": 320, "showlegend": True, "xaxis": x, "yaxis": y}}
