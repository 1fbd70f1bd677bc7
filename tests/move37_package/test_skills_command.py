"""`move37 skills`: what people and programs see, and wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from move37.arch_templates.catalog import template_source
from move37.cli.skills import HEADER, capacity_lines, line
from move37.evaluation.skills.results import Capacity, SkillFailed, SkillResult
from move37.records import Failed, Noise
from tests.test_cli import is_one_clear_line, move37


def noise(mean: float) -> Noise:
    return Noise(mean=mean, sd=0.25, seeds=3)


RESULT = SkillResult(
    skill="recall",
    chance=3.466,
    floor=0.5,
    loss=noise(1.5),
    baseline=noise(2.0),
    difference=noise(-0.5),
    accuracy=0.5,
    steps=(None, 120, 80),
    baseline_steps=(None, None, None),
    capacity=(Capacity(pairs=2, loss=0.01, accuracy=1.0, tokens=64),),
    baseline_capacity=(Capacity(pairs=2, loss=0.5, accuracy=0.75, tokens=64),),
)


def test_a_line_shows_loss_excess_chance_and_the_paired_difference() -> None:
    told = line(RESULT)
    assert told.split("  ")[0].strip() == "recall"
    for part in ("1.500 ± 0.250", "1.000", "3.466", "100 (2/3)", "2.000 ± 0.250", "not reached"):
        assert part in told
    assert told.endswith("-0.500 ± 0.250")
    assert len(told) == len(HEADER) <= 100


def test_a_failure_of_the_audit_is_no_result_and_shows_no_control_character() -> None:
    outcome = Failed(stage="audit", reason="G6 floor of markov:\n\x1b[2Jbelow")
    told = line(SkillFailed(skill="markov", seed=1, outcome=outcome))
    assert "failed at audit, seed 1: G6 floor of markov" in told
    assert "\n" not in told
    assert "\x1b" not in told


def test_the_capacity_curve_stands_beside_the_bytes_of_state() -> None:
    head, ours, theirs, _ = capacity_lines(RESULT, (1234, 6336)).splitlines()
    assert head.split()[-1] == "2"
    assert ours.split() == ["FILE", "1,234", "0.010", "100%"]
    assert theirs.split() == ["delta_net", "6,336", "0.500", "75%"]


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("mixer.py", "--only", "parrot"), "unknown skill 'parrot'; there are recall, overwrite"),
        (("mixer.py", "--tier", "cluster"), "unknown tier 'cluster'"),
        (("absent.py",), "absent.py: cannot be read"),
        (("empty.py",), "empty.py: is empty"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], pattern: str) -> None:
    (tmp_path / "mixer.py").write_text(template_source("delta_net"))
    (tmp_path / "empty.py").write_text("\n")
    is_one_clear_line(move37(tmp_path, "skills", *arguments), pattern)


def test_one_seed_has_no_spread_and_is_refused(tmp_path: Path) -> None:
    result = move37(tmp_path, "skills", "mixer.py", "--seeds", "1")
    assert result.returncode == 2
    assert "--seeds" in result.stderr


def test_a_file_that_fails_a_gate_is_refused_with_its_name(tmp_path: Path) -> None:
    source = template_source("delta_net").replace(
        "        return y, (last_inputs, memory)",
        "        return y + y.mean(1, keepdim=True), (last_inputs, memory)",
    )
    assert "mean(1" in source
    (tmp_path / "mixer.py").write_text(source)
    told = move37(tmp_path, "skills", "mixer.py", "--tier", "smoke", "--only", "facts")
    assert told.returncode == 1, told.stderr
    assert "G1" in told.stdout


@pytest.mark.slow
def test_a_file_is_taken_through_skills_and_the_baseline_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mixer.py").write_text(template_source("gated_delta_net"))
    asked = ("skills", "mixer.py", "--tier", "smoke", "--seeds", "2", "--only", "recall")
    result = move37(tmp_path, *asked, "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["state_bytes"] > 0
    (skill,) = told["skills"]
    gap = skill["loss"]["mean"] - skill["baseline"]["mean"]
    assert skill["difference"]["mean"] == pytest.approx(gap)
    assert gap != 0
    # What the cache says is believed.
    kept = sorted((tmp_path / "cache" / "skills").glob("*.json"))
    runs = [json.loads(path.read_text()) for path in kept]
    assert [run["skill"] for run in runs] == ["recall", "recall"]
    kept[0].write_text(json.dumps(runs[0] | {"loss": 9.0}))
    again = move37(tmp_path, *asked)
    assert again.returncode == 0, again.stderr
    _, shown, *_ = again.stdout.splitlines()
    assert f" {(9.0 + runs[1]['loss']) / 2:.3f} ± " in shown
    assert "FILE" in again.stdout
    assert "isolation" in again.stdout
    (tmp_path / "bad.py").write_text("import os\n")
    refused = move37(tmp_path, "skills", "bad.py", "--tier", "smoke", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["failed"]["stage"] == "policy"
