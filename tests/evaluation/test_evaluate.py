"""One file in, one outcome out, through real boxes at the smoke tier."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from move37.arch_templates.catalog import template_source
from move37.evaluation.baseline import load_or_measure
from move37.evaluation.client import EvaluatorProcess, open_evaluator
from move37.evaluation.data import load_corpus
from move37.evaluation.evaluate import Anomalies, Evaluator, Run, ignore
from move37.evaluation.isolation.nursery import BoxFailure, Limits, Nursery
from move37.evaluation.pruning import Cut, Plan
from move37.evaluation.tiers import load_tier
from move37.records import Baseline, CurvePoint, Failed, Measured
from tests.evaluation.faults import Fault

SOURCE = template_source("delta_net")


@pytest.fixture(scope="session")
def evaluator(nursery: Nursery) -> Evaluator:
    return Evaluator(load_tier("smoke"), load_corpus(), nursery)


@pytest.fixture(scope="module")
def process() -> Iterator[EvaluatorProcess]:
    with open_evaluator("auto", load_tier("smoke")) as opened:
        yield opened


@pytest.fixture(scope="module")
def baseline(process: EvaluatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    folder = tmp_path_factory.mktemp("baselines")
    return load_or_measure(process, "delta_net", SOURCE, folder, 2, lambda _: lambda *_: None)


def test_a_template_is_measured_bit_for_bit_the_same_twice(evaluator: Evaluator) -> None:
    seen: list[CurvePoint] = []
    first = evaluator.evaluate(SOURCE, 0, watch=lambda _, point, __: seen.append(point))
    second = evaluator.evaluate(SOURCE, 0)
    assert isinstance(first, Measured), first
    assert isinstance(second, Measured)
    assert first.scores == second.scores
    assert [point.loss for point in first.curve] == [point.loss for point in second.curve]
    assert first.size == second.size
    assert seen == list(first.curve)
    assert first.loss("text") < 4.5
    assert first.size.parameters > first.size.mixer_parameters > 1000
    assert first.cost.cpu_seconds > 0
    assert first.forms == second.forms == {"chunk_delta_rule": "chunked"}
    assert first.provenance == evaluator.provenance


def test_a_record_from_before_forms_were_told_still_loads(evaluator: Evaluator) -> None:
    measured = evaluator.rehearse(SOURCE, 2)
    assert isinstance(measured, Measured)
    old = measured.model_dump(mode="json", exclude={"forms"})
    assert Measured.model_validate(old) == measured.model_copy(update={"forms": {}})


@pytest.mark.parametrize(
    "told",
    ["{'chunk_delta_rule': 'fast'}", "{'no_such_op': 'chunked'}", "{'causal_conv': ['chunked']}"],
)
def test_a_form_or_an_op_that_does_not_exist_is_not_recorded(
    evaluator: Evaluator, told: str
) -> None:
    lie = f"from move37.arch_templates.ops import backend\nbackend.forms = lambda: {told}\n"
    run = Run(SOURCE + lie, 0, None, ignore)
    with pytest.raises(BoxFailure, match="forms of ops that do not exist"):
        evaluator._train(run, "text")
    assert run.account.forms == {}


def test_another_seed_gives_another_loss(evaluator: Evaluator, baseline: Baseline) -> None:
    losses = [score.loss for score in baseline.scores if score.task == "text"]
    assert len(set(losses)) == len(losses) == 2
    assert baseline.noise["text"].sd > 0


def test_the_noise_floor_comes_from_the_cache_the_second_time(
    process: EvaluatorProcess, tmp_path: Path
) -> None:
    runs: list[int] = []

    def watch(seed: int) -> object:
        runs.append(seed)
        return lambda *_: None

    first = load_or_measure(process, "t", SOURCE, tmp_path, 2, watch)  # type: ignore[arg-type]
    again = load_or_measure(process, "t", SOURCE, tmp_path, 2, watch)  # type: ignore[arg-type]
    assert first == again
    assert sorted(runs) == [0, 1]


def test_a_gate_failure_ends_the_evaluation_before_training(evaluator: Evaluator) -> None:
    failed = evaluator.evaluate(Fault("return v.flip(1), v[:, -1:]", "").source, 0)
    assert isinstance(failed, Failed)
    assert failed.stage == "gate"
    assert failed.gates is not None
    assert failed.curve == ()
    assert "use positions up to t only" in failed.reason


def test_a_loss_that_turns_nan_ends_the_run_at_that_step(evaluator: Evaluator) -> None:
    # Only where the length is that of the tier, so that no gate sees it.
    body = """
if v.shape[1] == 64 and torch.is_grad_enabled():
    self.calls += 1
    if self.calls > 5:
        sums = sums * float("nan")
return sums, v[:, -1:]
"""
    failed = evaluator.evaluate(Fault(body, "").source, 0)
    assert isinstance(failed, Failed)
    assert failed.stage == "train"
    assert "nan" in failed.reason
    assert "step 6" in failed.reason


@pytest.mark.parametrize("value", ["inf", "-inf"])
def test_an_infinite_loss_ends_the_run_at_that_step(evaluator: Evaluator, value: str) -> None:
    # The loss as it is told: what the box says is not trusted to be a number.
    tell = (
        "from move37.evaluation.inside import train\n"
        "def told(send, message):\n"
        "    late = message.get('step', 0) > 5\n"
        f"    own(send, message | ({{'loss': float('{value}')}} if late else {{}}))\n"
        "own, train.reply = train.reply, told\n"
    )
    run = Run(SOURCE + tell, 0, None, ignore)
    with pytest.raises(BoxFailure, match=f"the loss is {value} at step 6"):
        evaluator._train(run, "text")


def test_memory_over_the_limit_ends_the_run_and_is_named_as_the_reason(
    evaluator: Evaluator,
) -> None:
    # Only where the length is that of the tier, so that no gate sees it.
    body = """
if v.shape[1] == 64 and torch.is_grad_enabled():
    self.calls += 1
    if self.calls > 5:
        sums = sums + torch.ones(1 << 32).sum() * 0
return sums, v[:, -1:]
"""
    failed = evaluator.evaluate(Fault(body, "").source, 0)
    assert isinstance(failed, Failed)
    assert failed.stage == "memory"
    assert len(failed.curve) in (2, 3, 4, 5)


LAGGING = Plan(window=2.0, checks=(Cut(step=10, largest=1.0, runs=9),))


def test_a_run_over_its_plan_is_stopped_at_that_step(process: EvaluatorProcess) -> None:
    failed = process.evaluate(SOURCE, 0, plan=LAGGING)
    assert isinstance(failed, Failed)
    assert failed.stage == "pruned"
    assert "at step 10, smoothed: at most 1.0000 goes on after 9 runs" in failed.reason
    assert [(point.task, point.step) for point in failed.curve] == [
        ("text", step) for step in range(1, 11)
    ]
    assert failed.gates is not None
    assert failed.gates.passed
    assert failed.cost.train_seconds > 0


def test_a_spared_run_ends_as_without_a_plan_and_notes_where_it_would_have_stopped(
    process: EvaluatorProcess,
) -> None:
    whole = process.evaluate(SOURCE, 0)
    spared = process.evaluate(SOURCE, 0, plan=LAGGING.model_copy(update={"spared": True}))
    assert isinstance(whole, Measured)
    assert isinstance(spared, Measured)
    assert spared.scores == whole.scores
    assert whole.spared is None
    assert spared.spared is not None
    assert "at step 10" in spared.spared.reason


def test_a_loss_above_that_of_a_guess_is_divergence_once_the_run_has_settled(
    nursery: Nursery,
) -> None:
    rules = Anomalies(load_tier("smoke").text, "text", None)
    with nursery.open_box(Limits(seconds=20)) as box:
        rules.look(CurvePoint(task="text", step=19, loss=9.0, seconds=1.0), box)
        rules.look(CurvePoint(task="text", step=39, loss=5.5, seconds=1.0), box)
        with pytest.raises(BoxFailure, match="diverged"):
            rules.look(CurvePoint(task="text", step=39, loss=9.0, seconds=1.0), box)


def test_a_slow_candidate_is_stopped_by_its_step_time(
    evaluator: Evaluator, baseline: Baseline
) -> None:
    body = """
if v.shape[1] == 64 and torch.is_grad_enabled():
    for _ in range(400):
        sums = sums + 0 * torch.matmul(self.value.weight, self.value.weight).sum()
return sums, v[:, -1:]
"""
    fast = dict.fromkeys(baseline.step_seconds, 0.002)
    quick = baseline.model_copy(update={"step_seconds": fast})
    failed = evaluator.evaluate(Fault(body, "").source, 0, quick)
    assert isinstance(failed, Failed)
    assert "too slow" in failed.reason


def test_an_abnormally_low_loss_is_stopped(evaluator: Evaluator, baseline: Baseline) -> None:
    high = tuple(point.model_copy(update={"loss": 50.0}) for point in baseline.curve)
    failed = evaluator.evaluate(SOURCE, 0, baseline.model_copy(update={"curve": high}))
    assert isinstance(failed, Failed)
    assert "abnormally low loss" in failed.reason


def test_a_rehearsal_takes_seconds_and_tells_whether_it_runs(evaluator: Evaluator) -> None:
    short = evaluator.rehearse(SOURCE, 3)
    assert isinstance(short, Measured)
    assert max(point.step for point in short.curve) == 3


def test_the_trusted_process_never_imports_torch() -> None:
    script = (
        "import sys\n"
        "from move37.arch_templates.catalog import template_source\n"
        "from move37.evaluation.data import load_corpus\n"
        "from move37.evaluation.evaluate import Evaluator\n"
        "from move37.evaluation.isolation.obtain import open_nursery\n"
        "from move37.evaluation import client, server\n"
        "from move37.evaluation.tiers import load_tier\n"
        "with open_nursery('auto') as (nursery, _):\n"
        "    evaluator = Evaluator(load_tier('smoke'), load_corpus(), nursery)\n"
        "    assert evaluator.rehearse(template_source('delta_net'), 2).kind == 'measured'\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
