"""`move37 calibrate`: what it asks for, what it prints, and when it exits with 1."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from move37.cli import calibrating
from move37.cli.calibrating import controls_text, null_text
from move37.evaluation.calibration.controls import Controls, Judged, decide
from move37.evaluation.calibration.null import Decisions, Null
from move37.evaluation.calibration.pairs import PAIRS
from move37.evaluation.calibration.runs import Run
from move37.records import Failed, Provenance, UserError
from move37.settings import Settings

PROVENANCE = Provenance(evaluator="e", data="d", tier="t", torch="2", machine="m", isolation="i")


def _runs(*losses: float) -> list[Run]:
    return [Run(metric="text", seed=s, loss=x, seconds=30.0) for s, x in enumerate(losses)]


def _controls() -> Controls:
    good, bad = _runs(1.0, 1.1, 1.2), _runs(1.5, 1.7, 1.8)
    failed = Failed(stage="train", reason="diverged\nat once")
    decisions = (decide(good, bad), decide(bad, good), decide(good, [failed]))
    return Controls(
        tier="smoke",
        seeds=3,
        order_seed=0,
        judged=tuple(
            Judged(pair=pair, swapped=False, decision=found)
            for pair, found in zip(PAIRS, decisions, strict=False)
        ),
        provenance=PROVENANCE,
    )


def _null() -> Null:
    parts = [
        Decisions(origin="real", campaigns=1, candidates=12, decisions=1, false_claims=0, sure=0),
        Decisions(
            origin="drawn", campaigns=99, candidates=57, decisions=399, false_claims=2, sure=3
        ),
    ]
    return Null(
        tier="smoke",
        root="delta_net",
        losses=tuple(np.linspace(1.7, 1.8, 44).tolist()),
        baseline_seeds=8,
        decisions=tuple(parts),
        provenance=PROVENANCE,
    )


def test_a_line_for_each_pair_tells_the_gain_of_the_one_known_to_be_better() -> None:
    lines = controls_text(_controls()).splitlines()
    assert lines[0].startswith("right text      gated_delta_net before delta_net: +0.567 ± ")
    assert lines[1].startswith("wrong text")
    assert ": -0.567 ± " in lines[1]
    assert lines[2].endswith("the second failed at train: diverged at once")
    assert "right: 1 of 3, 1 of them with p < 0.05; decision accuracy of smoke 0.33" in lines[4]


def test_false_claims_stand_beside_their_interval_and_the_best_of_luck_beside_the_number() -> None:
    text, best = null_text(_null()), _null().best_of(32)
    assert "2 false claims in 399 decisions (0.1% to 1.8%), 3 with p < 0.001 alone" in text
    assert f"      32{best.median:>9.4f}{best.high:>9.4f}" in text
    assert text.endswith("false claims: 2 of 400 decisions")


def test_without_a_flag_both_costs_are_told_from_the_runs_that_are_kept(tmp_path: Path) -> None:
    from move37.evaluation.tiers import load_tier

    tier, settings = load_tier("laptop"), Settings(cache=tmp_path, slots=2)
    with pytest.raises(UserError, match=r"--controls \(54 runs\) or --aa 12 \(44 runs\)"):
        calibrating._check(None, False, tier, settings)
    folder = tmp_path / "calibration" / "runs"
    folder.mkdir(parents=True)
    (folder / "laptop-text-0-abc.json").write_text(_runs(1.0)[0].model_dump_json())
    with pytest.raises(UserError, match=r"54 runs, about 13m 30s\) or --aa 12 \(44 runs, about 11"):
        calibrating._check(None, False, tier, settings)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "choose --controls"),
        (["--aa", "3"], "--aa 3: write a number of candidates from 4 to 1000"),
        (["--aa", "100000"], "--aa 100000"),
        (["--controls", "--tier", "nosuch"], "unknown tier 'nosuch'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], told: str, tmp_path: Path
) -> None:
    done = _calibrate(arguments, tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


@pytest.mark.slow
def test_a_calibration_prints_one_object_and_keeps_the_null(tmp_path: Path) -> None:
    done = _calibrate(["--aa", "4", "--tier", "smoke", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["passed"] is True
    assert len(told["aa"]["losses"]) == 27
    assert [best["tries"] for best in told["aa"]["best"]] == [1, 8, 32, 128]
    (kept,) = (tmp_path / "calibration").glob("null-smoke-*.json")
    assert list(Null.model_validate_json(kept.read_text()).losses) == told["aa"]["losses"]


def _calibrate(arguments: list[str], cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "move37", "calibrate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MOVE37_CACHE": str(cache), "MOVE37_HOME": str(cache / "runs")},
    )
