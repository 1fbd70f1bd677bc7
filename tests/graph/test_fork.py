"""Going on from a node of a past experiment: what was before stays, what comes after is new."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from move37.graph.campaign import run_campaign
from move37.graph.fork import NODES, Node, fork_config
from move37.graph.lab import open_store
from move37.records import (
    BudgetSpent,
    Campaign,
    Caps,
    Experiment,
    Forked,
    Measured,
    UserError,
)
from move37.settings import Settings
from tests.graph.records import Played, lasting


def fork(
    settings: Settings, number: int, node: Node, model: str | None = None, prompt: str | None = None
) -> tuple[Experiment, Campaign]:
    """Fork an experiment of the campaign `same`; return what came of it and its campaign."""
    with open_store(settings) as store:
        campaigns = {one.config.name: one for one in store.campaigns()}
    at = Forked(campaign="same", number=number, node=node)
    config = fork_config(campaigns["same"], at, set(campaigns), model, prompt)
    (found,) = run_campaign(config, settings)
    with open_store(settings) as store:
        made = next(one for one in store.campaigns() if one.config.name == config.name)
    return found, made


@pytest.mark.long
def test_the_same_model_comes_to_the_same_record_from_any_node(
    played: Played, tmp_path: Path
) -> None:
    settings = played.copied(tmp_path / "runs")
    before = played.experiments[2]
    assert before.status == "scored"
    for count, node in enumerate((one for one in NODES if one != "engineer"), start=1):
        found, made = fork(settings, 3, node)
        assert made.config.name == f"same.fork{count}"
        assert made.config.forked == Forked(campaign="same", number=3, node=node)
        own = {"id", "campaign", "usage"}
        ours, theirs = (
            {key: value for key, value in lasting(one).items() if key not in own}
            for one in (found, before)
        )
        assert ours == theirs


def test_only_what_comes_after_the_node_is_asked_again(played: Played, tmp_path: Path) -> None:
    settings = played.copied(tmp_path / "runs")
    found, made = fork(settings, 1, "judge", model="offline:grammar", prompt=None)
    assert {use.role for use in found.usage} == {"judge", "analyst"}
    assert found.proposal == played.experiments[0].proposal
    assert isinstance(found.outcome, Measured)
    assert made.config.models["judge"] == "offline:grammar"


def test_another_prompt_is_what_the_model_reads_and_the_record_keeps(
    played: Played, tmp_path: Path
) -> None:
    settings = played.copied(tmp_path / "runs")
    shipped = files("move37.agents").joinpath("prompts", "analyst.md").read_text("utf-8")
    longer, made = fork(settings, 1, "analyst", prompt=f"Answer in one sentence.\n{shipped}")
    assert made.config.prompts["analyst"].startswith("Answer in one sentence.")
    (use,) = longer.usage
    (before,) = (use for use in played.experiments[0].usage if use.role == "analyst")
    # The built-in model counts words.
    assert use.input_tokens == before.input_tokens + 4 * use.calls


def test_a_fork_that_met_a_cap_goes_on_behind_it_and_is_one_experiment(
    played: Played, tmp_path: Path
) -> None:
    settings = played.copied(tmp_path / "runs")
    with open_store(settings) as store:
        origin = store.campaign("same")
    assert origin is not None
    at = Forked(campaign="same", number=3, node="judge")
    config = fork_config(origin, at, {"same"}, None, None)
    capped = config.model_copy(update={"caps": Caps(calls=1)})
    with pytest.raises(BudgetSpent):
        run_campaign(capped, settings)
    (found,) = run_campaign(config, settings)
    assert (found.number, found.status) == (3, "scored")
    assert found.proposal == played.experiments[2].proposal
    assert run_campaign(config, settings) == [found]


def test_the_campaign_that_was_left_knows_nothing_of_the_fork(
    played: Played, tmp_path: Path
) -> None:
    settings = played.copied(tmp_path / "runs")
    fork(settings, 2, "analyst")
    with open_store(settings) as store:
        assert store.experiments("same") == played.experiments


def test_a_node_where_the_experiment_never_was_is_told(played: Played, tmp_path: Path) -> None:
    settings = played.copied(tmp_path / "runs")
    with pytest.raises(UserError, match="never came to the engineer"):
        fork(settings, 1, "engineer")
    with pytest.raises(UserError, match="has no experiment 99"):
        fork(settings, 99, "judge")
    with pytest.raises(UserError, match="asks no model"):
        fork(settings, 1, "evaluate", model="offline:grammar")
    with open_store(settings) as store:
        assert [one.config.name for one in store.campaigns()] == ["same"]
