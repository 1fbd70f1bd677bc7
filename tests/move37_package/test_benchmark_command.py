"""`move37 benchmark`: what people and programs see, and wrong input."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from move37.arch_templates.catalog import template_source
from move37.cli.benchmarking import HEADER, chosen, lines
from move37.evaluation.statistics.ratio import Estimate
from move37.evaluation.zero_shot.harness import hub_environment
from move37.evaluation.zero_shot.results import Metric, MetricResult, TaskResult
from move37.records import UserError
from tests.test_cli import is_one_clear_line, move37

INSTALLED = pytest.mark.skipif(find_spec("lm_eval") is None, reason="the extra is not installed")


def estimate(mean: float) -> Estimate:
    return Estimate(mean=mean, se=0.021)


def figure(name: str, chance: float | None) -> MetricResult:
    return MetricResult(
        name=name,
        higher_is_better=True,
        chance=chance,
        value=estimate(0.344),
        baseline=estimate(0.412),
        difference=estimate(-0.068),
    )


def test_a_task_has_a_line_for_each_figure_with_its_error_and_the_paired_difference() -> None:
    metrics = (figure("acc", 0.25), figure("bits_per_byte", None))
    first, second = lines(TaskResult(task="closing", items=330, metrics=metrics))
    told = "closing 330 acc 0.250 0.344 ± 0.021 0.412 ± 0.021 -0.068 ± 0.021"
    assert " ".join(first.split()) == told
    assert second.split()[:2] == ["bits_per_byte", "0.344"]
    assert len(first) == len(second) == len(HEADER) <= 100


def test_a_figure_without_a_weight_for_each_value_is_no_figure() -> None:
    with pytest.raises(ValueError, match="as many weights"):
        Metric(name="acc", higher_is_better=True, values=(1.0,), weights=(), chance=None)


def test_tasks_are_named_with_commas_each_once() -> None:
    assert chosen("closing, arc_easy,closing,") == ("closing", "arc_easy")
    with pytest.raises(UserError, match="names no task; ours are identifier_recall,closing"):
        chosen(" , ")


def test_the_judge_learns_where_data_lies_and_no_key() -> None:
    told = hub_environment({"HF_HOME": "data", "HF_TOKEN": "secret", "OPENAI_API_KEY": "secret"})
    assert told["HF_HOME"] == "data"
    assert "secret" not in told.values()


@INSTALLED
@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("mixer.py", "--tasks", ","), "names no task"),
        (("mixer.py", "--tier", "cluster"), "unknown tier 'cluster'"),
        (("absent.py",), "absent.py: cannot be read"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], pattern: str) -> None:
    (tmp_path / "mixer.py").write_text(template_source("delta_net"))
    is_one_clear_line(move37(tmp_path, "benchmark", *arguments), pattern)


@INSTALLED
@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "pattern"),
    [
        ("parroting", "there is no task 'parroting'; ours are identifier_recall, closing"),
        (
            "arc_easy",
            r"arc_easy: its data allenai/ai2_arc is not .*load_dataset\('allenai/ai2_arc'",
        ),
    ],
)
def test_a_task_or_data_that_is_missing_is_one_line_before_training(
    tmp_path: Path, task: str, pattern: str
) -> None:
    (tmp_path / "mixer.py").write_text(template_source("delta_net"))
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    asked = ("benchmark", "mixer.py", "--tasks", f"closing,{task}")
    is_one_clear_line(move37(tmp_path, *asked, **offline), pattern)
    assert not (tmp_path / "cache").exists()


@INSTALLED
@pytest.mark.slow
def test_a_file_is_taken_through_both_tasks_and_the_baseline_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mixer.py").write_text(template_source("gated_delta_net"))
    asked = ("benchmark", "mixer.py", "--tier", "smoke", "--limit", "60")
    result = move37(tmp_path, *asked, "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert [(task["task"], task["items"]) for task in told["tasks"]] == [
        ("identifier_recall", 60),
        ("closing", 60),
    ]
    for task in told["tasks"]:
        for metric in task["metrics"]:
            gap = metric["value"]["mean"] - metric["baseline"]["mean"]
            assert metric["difference"]["mean"] == pytest.approx(gap)
    (kept,) = (tmp_path / "cache" / "benchmarks").glob("*.json")
    run = json.loads(kept.read_text())
    kept.write_text(json.dumps(run | {"text": run["text"] | {"loss": 9.0}}))
    again = move37(tmp_path, *asked)
    assert again.returncode == 0, again.stderr
    # What the cache says is believed.
    assert "delta_net 9.000" in again.stdout
    (tmp_path / "bad.py").write_text("import os\n")
    refused = move37(tmp_path, "benchmark", "bad.py", "--tier", "smoke", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["failed"]["stage"] == "policy"
