"""Whole campaigns with the offline model at the smoke tier: real agents, training and storage."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tenacity import wait_none

from move37.graph.campaign import run_campaign
from move37.graph.lab import campaign_lock, open_store
from move37.records import CampaignConfig, Experiment, Measured, Progress, UserError
from move37.settings import Settings
from tests.graph.records import lasting

NODES = {"select", "researcher", "novelty", "evaluate", "judge", "analyst", "archive"}


def config(name: str = "c", experiments: int = 4, **more: Any) -> CampaignConfig:
    return CampaignConfig(name=name, tier="smoke", experiments=experiments, **more)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> list[Experiment]:
    settings = Settings(home=tmp_path_factory.mktemp("undisturbed"), cache=cache)
    return run_campaign(config("same", seed=3), settings)


def test_a_campaign_scores_real_designs_and_keeps_everything(settings: Settings) -> None:
    seen: list[Progress] = []
    experiments = run_campaign(config(), settings, seen.append)
    assert [e.number for e in experiments] == [1, 2, 3, 4]
    scored = [e for e in experiments if e.status == "scored"]
    assert len(scored) >= 3
    for experiment in scored:
        assert isinstance(experiment.outcome, Measured)
        assert experiment.outcome.gates.passed
        assert 1.0 < experiment.outcome.loss("text") < 5.6
        assert experiment.analysis is not None
        folder = settings.home / "c" / experiment.id
        assert experiment.proposal is not None
        assert (folder / "candidate.py").read_text() == experiment.proposal.code
        assert (folder / "curve.jsonl").read_text().count("\n") == len(experiment.outcome.curve)
    assert {p.node for p in seen} >= NODES
    assert any(p.event == "training" and p.loss for p in seen)


def test_designs_differ_and_descend_from_earlier_ones(undisturbed: list[Experiment]) -> None:
    codes = {e.proposal.code for e in undisturbed if e.proposal}
    assert len(codes) == len(undisturbed)
    assert all(e.parent < e.number for e in undisturbed)


def test_the_record_does_not_depend_on_how_many_run_at_once(
    undisturbed: list[Experiment], settings: Settings
) -> None:
    alone = settings.model_copy(update={"slots": 1})
    again = run_campaign(config("same", seed=3), alone)
    assert lasting(again) == lasting(undisturbed)


def test_checkpoints_stay_small(settings: Settings) -> None:
    run_campaign(config(experiments=2), settings)
    assert (settings.home / "c" / "checkpoints.sqlite").stat().st_size < 3_000_000


def test_a_finished_campaign_is_not_repeated_and_can_grow(settings: Settings) -> None:
    first = run_campaign(config(experiments=2), settings)
    start = time.monotonic()
    assert run_campaign(config(experiments=2), settings) == first
    assert time.monotonic() - start < 30
    longer = run_campaign(config(experiments=3), settings)
    assert longer[:2] == first
    assert len(longer) == 3


def test_no_experiment_starts_after_the_budget(settings: Settings) -> None:
    assert run_campaign(config(budget_seconds=0.0), settings) == []


def test_a_second_process_on_the_same_campaign_is_refused(settings: Settings) -> None:
    with campaign_lock(settings.home / "c"), pytest.raises(UserError, match="already running"):
        run_campaign(config(), settings)


def test_another_configuration_under_the_same_name_is_refused(settings: Settings) -> None:
    run_campaign(config(experiments=1), settings)
    with pytest.raises(UserError, match="c"):
        run_campaign(config(experiments=1, seed=9), settings)


def test_an_unknown_template_names_those_that_exist(settings: Settings) -> None:
    with pytest.raises(UserError, match="delta_net"):
        run_campaign(config(root="transformer"), settings)


@pytest.mark.parametrize("node", ["researcher", "evaluate", "judge", "archive"])
def test_an_error_of_ours_in_any_node_stops_the_run_and_loses_nothing(
    node: str, undisturbed: list[Experiment], settings: Settings
) -> None:
    def trip(progress: Progress) -> None:
        if progress.node == node and progress.event == "started" and progress.experiment == 2:
            raise RuntimeError("a bug of ours")

    with pytest.raises(RuntimeError, match="a bug of ours"):
        run_campaign(config("same", seed=3), settings, trip)
    again = run_campaign(config("same", seed=3), settings)
    assert lasting(again) == lasting(undisturbed)


def test_a_provider_that_cannot_be_reached_is_weather_not_a_crash(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("move37.graph.build.WAIT", wait_none())
    dead = {"model": "openai:none", "base_url": "http://127.0.0.1:9/v1", "api_key": SecretStr("x")}
    experiments = run_campaign(config(experiments=2), settings.model_copy(update=dead))
    assert [e.status for e in experiments] == ["refused", "refused"]
    assert all(e.reason.startswith("researcher: ") for e in experiments)


def _start(settings: Settings, arguments: list[str]) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "MOVE37_HOME": str(settings.home),
        "MOVE37_CACHE": str(settings.cache),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "move37", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _read(settings: Settings, name: str) -> list[Experiment]:
    with open_store(settings) as store:
        return store.experiments(name)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_twenty_random_moments_the_record_is_that_of_an_undisturbed_run(
    undisturbed: list[Experiment], settings: Settings
) -> None:
    moments = random.Random(7)
    arguments = ["run", "--tier", "smoke", "-n", "4", "--seed", "3", "--campaign", "same"]
    kills = 0
    while kills < 20:
        process = _start(settings, arguments)
        try:
            process.wait(timeout=moments.uniform(0.5, 7.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        kills += 1
    last = _start(settings, arguments)
    output, _ = last.communicate(timeout=300)
    assert last.returncode == 0, output.decode()
    assert lasting(_read(settings, "same")) == lasting(undisturbed)


@pytest.mark.slow
def test_ctrl_c_stops_with_the_command_to_go_on(
    undisturbed: list[Experiment], settings: Settings
) -> None:
    arguments = ["run", "--tier", "smoke", "-n", "4", "--seed", "3", "--campaign", "same"]
    process = _start(settings, arguments)
    time.sleep(8)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output.decode()
    assert b"move37 run --resume --campaign same" in output
    resumed = _start(settings, ["run", "--resume", "--campaign", "same"])
    output, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, output.decode()
    assert lasting(_read(settings, "same")) == lasting(undisturbed)
