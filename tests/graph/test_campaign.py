"""Whole campaigns with the offline model at the smoke tier: real agents, training and storage."""

from __future__ import annotations

import os
import random
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from move37.graph.campaign import run_campaign
from move37.graph.lab import campaign_lock, complete, open_store
from move37.records import CampaignConfig, Experiment, Measured, Progress, UserError
from move37.settings import Settings
from tests.graph.records import Played, lasting

NODES = {"select", "researcher", "novelty", "evaluate", "judge", "analyst", "archive"}


def config(name: str = "c", experiments: int = 4, **more: Any) -> CampaignConfig:
    return CampaignConfig(name=name, tier="smoke", experiments=experiments, **more)


def test_a_campaign_scores_real_designs_and_keeps_everything(played: Played) -> None:
    experiments = played.experiments
    assert [e.number for e in experiments] == [1, 2, 3, 4]
    scored = [e for e in experiments if e.status == "scored"]
    assert len(scored) >= 3
    for experiment in scored:
        assert isinstance(experiment.outcome, Measured)
        assert experiment.outcome.gates.passed
        assert 1.0 < experiment.outcome.loss("text") < 5.6
        assert experiment.analysis is not None
        folder = played.settings.home / "same" / experiment.id
        assert experiment.proposal is not None
        assert (folder / "candidate.py").read_text() == experiment.proposal.code
        assert (folder / "curve.jsonl").read_text().count("\n") == len(experiment.outcome.curve)
    assert {p.node for p in played.seen} >= NODES
    assert any(p.event == "training" and p.loss for p in played.seen)


def test_designs_differ_and_descend_from_earlier_ones(played: Played) -> None:
    codes = {e.proposal.code for e in played.experiments if e.proposal}
    assert len(codes) == len(played.experiments)
    assert all(e.parent < e.number for e in played.experiments)


def test_a_proposal_records_what_its_author_was_shown_and_says_it_used(played: Played) -> None:
    proposals = [one.proposal for one in played.experiments if one.proposal]
    assert proposals
    for proposal in proposals:
        assert set(proposal.cognition_ids) | set(proposal.lesson_ids) <= set(proposal.shown)
    assert any(proposal.cognition_ids for proposal in proposals)
    assert any(i.startswith("lesson-") for proposal in proposals for i in proposal.shown)


def test_the_default_policy_looks_at_what_is_believed(played: Played) -> None:
    assert played.config.policy == "posterior"
    assert all("by posterior loss" in one.selection_reason for one in played.experiments[2:])


def test_a_campaign_runs_by_its_policy_and_its_record_says_so(settings: Settings) -> None:
    # One at a time, so that the second sees the first.
    config = CampaignConfig(name="p", tier="smoke", experiments=2, batch=1, policy="paper", seed=1)
    first, second = run_campaign(config, settings)
    assert isinstance(first.outcome, Measured)
    assert first.judgement is not None
    assert "by fitness" in second.selection_reason
    assert second.parent in {0, 1}
    with open_store(settings) as store:
        stored = store.campaign("p")
    assert stored is not None
    assert stored.config.policy == "paper"


@pytest.mark.slow
def test_the_record_does_not_depend_on_how_many_run_at_once(
    played: Played, settings: Settings
) -> None:
    alone = settings.model_copy(update={"slots": 1})
    assert lasting(run_campaign(played.config, alone)) == lasting(played.experiments)


def test_checkpoints_stay_small(played: Played) -> None:
    checkpoints = played.settings.home / "same" / "checkpoints.sqlite"
    assert checkpoints.stat().st_size < 1_500_000 * len(played.experiments)


def test_a_finished_campaign_is_not_repeated_and_can_grow(played: Played, tmp_path: Path) -> None:
    settings = played.copied(tmp_path / "runs")
    start = time.monotonic()
    assert run_campaign(played.config, settings) == played.experiments
    assert time.monotonic() - start < 30
    longer = run_campaign(played.config.model_copy(update={"experiments": 5}), settings)
    assert longer[:4] == played.experiments
    assert len(longer) == 5


def test_no_experiment_starts_after_the_budget(settings: Settings) -> None:
    assert run_campaign(config(budget_seconds=0.0), settings) == []


def test_a_second_process_on_the_same_campaign_is_refused(settings: Settings) -> None:
    with campaign_lock(settings.home / "c"), pytest.raises(UserError, match="already running"):
        run_campaign(config(), settings)


def test_another_configuration_under_the_same_name_is_refused(
    played: Played, tmp_path: Path
) -> None:
    settings = played.copied(tmp_path / "runs")
    with pytest.raises(UserError, match="same"):
        run_campaign(played.config.model_copy(update={"seed": 9}), settings)


def test_a_campaign_from_before_the_summarizer_keeps_its_id(settings: Settings) -> None:
    four = dict.fromkeys(("researcher", "engineer", "judge", "analyst"), "offline:grammar")
    begun = CampaignConfig(name="old", tier="smoke", models=four)
    assert complete(begun, settings).id == begun.id
    assert "summarizer" in complete(CampaignConfig(name="new", tier="smoke"), settings).models


def test_an_unknown_template_names_those_that_exist(settings: Settings) -> None:
    with pytest.raises(UserError, match="delta_net"):
        run_campaign(config(root="transformer"), settings)


@pytest.mark.parametrize(
    "node",
    [
        pytest.param("researcher", marks=pytest.mark.long),
        "evaluate",
        pytest.param("judge", marks=pytest.mark.long),
        pytest.param("archive", marks=pytest.mark.long),
    ],
)
def test_an_error_of_ours_in_any_node_stops_the_run_and_loses_nothing(
    node: str, played: Played, settings: Settings
) -> None:
    def trip(progress: Progress) -> None:
        if progress.node == node and progress.event == "started" and progress.experiment == 2:
            raise RuntimeError("a bug of ours")

    two = played.config.model_copy(update={"experiments": 2})
    with pytest.raises(RuntimeError, match="a bug of ours"):
        run_campaign(two, settings, trip)
    assert lasting(run_campaign(two, settings)) == lasting(played.experiments[:2])


@pytest.fixture
def away(settings: Settings) -> Iterator[Settings]:
    """A provider whose server hangs up on everybody."""

    class HangsUp(socketserver.BaseRequestHandler):
        pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), HangsUp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/v1"
        told = {"model": "openai:none", "base_url": address, "api_key": SecretStr("x")}
        yield settings.model_copy(update=told)
        server.shutdown()


def test_a_provider_that_hangs_up_is_weather_not_a_crash(away: Settings) -> None:
    experiments = run_campaign(config(experiments=2), away)
    assert [e.status for e in experiments] == ["refused", "refused"]
    assert all(e.reason.startswith("researcher: ") for e in experiments)


def test_a_provider_that_stays_away_does_not_use_up_the_campaign(away: Settings) -> None:
    with pytest.raises(
        UserError, match=r"no answer in 4 experiments in a row \(researcher: .*-n 12"
    ):
        run_campaign(config(experiments=8), away)
    with open_store(away) as store:
        assert [one.number for one in store.experiments(config().name)] == [1, 2, 3, 4]


def test_a_campaign_does_not_begin_where_nobody_is_at_its_address(settings: Settings) -> None:
    dead = {"model": "openai:none", "base_url": "http://127.0.0.1:9/v1", "api_key": SecretStr("x")}
    with pytest.raises(UserError, match=r"no server at http://127.0.0.1:9/v1 .*refused"):
        run_campaign(config(), settings.model_copy(update=dead))
    assert not (settings.home / "c").exists()


class Process:
    """A campaign in a process of its own, with what it printed in a file."""

    def __init__(self, settings: Settings, arguments: list[str]) -> None:
        home = {"MOVE37_HOME": str(settings.home), "MOVE37_CACHE": str(settings.cache)}
        settings.home.mkdir(parents=True, exist_ok=True)
        self._log = settings.home / "output.txt"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "move37", *arguments],
                env={**os.environ, **home},
                stdout=log,
                stderr=subprocess.STDOUT,
                # A shell starts what runs in its background with SIGINT ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def end(self, signal_number: int, after: float) -> int:
        """Send a signal when the process still runs after so many seconds; return its code."""
        try:
            self._process.wait(timeout=after)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal_number)
        return self._process.wait(timeout=60)

    def await_text(self, text: str) -> None:
        """Wait until it has printed this, however slow the machine."""
        deadline = time.monotonic() + 120
        while text not in self.printed():
            assert time.monotonic() < deadline, self.printed()
            time.sleep(0.1)

    def wait(self) -> int:
        """Wait until the process ends by itself; return its code."""
        return self._process.wait(timeout=300)

    def printed(self) -> str:
        """What it printed on both streams."""
        return self._log.read_text()


def _read(settings: Settings, name: str) -> list[Experiment]:
    with open_store(settings) as store:
        return store.experiments(name)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "times",
    [pytest.param(5, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.long)],
)
def test_killed_at_random_moments_the_record_is_that_of_an_undisturbed_run(
    times: int, played: Played, settings: Settings
) -> None:
    moments = random.Random(7)
    arguments = ["run", "--tier", "smoke", "-n", "4", "--seed", "3", "--campaign", "same"]
    codes = []
    for _ in range(times):
        # Most starts are killed early, so that the campaign lasts until the last.
        moment = moments.choice([moments.uniform(0.5, 3.0), moments.uniform(3.0, 6.0)])
        codes.append(Process(settings, arguments).end(signal.SIGKILL, moment))
    assert codes.count(-signal.SIGKILL) >= times // 2
    last = Process(settings, arguments)
    assert last.wait() == 0, last.printed()
    assert lasting(_read(settings, "same")) == lasting(played.experiments)


@pytest.mark.slow
def test_ctrl_c_stops_with_the_command_to_go_on(played: Played, settings: Settings) -> None:
    arguments = ["run", "--tier", "smoke", "-n", "4", "--seed", "3", "--campaign", "same"]
    stopped = Process(settings, arguments)
    stopped.await_text("node_started")
    assert stopped.end(signal.SIGINT, 1.0) == 130, stopped.printed()
    assert "move37 run --resume --campaign same" in stopped.printed()
    resumed = Process(settings, ["run", "--resume", "--campaign", "same"])
    assert resumed.wait() == 0, resumed.printed()
    assert lasting(_read(settings, "same")) == lasting(played.experiments)
