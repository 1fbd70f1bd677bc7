"""A campaign with control arms and predictions, played at the smoke tier: who sees what."""

from __future__ import annotations

import pytest

from move37.graph.campaign import run_campaign
from move37.graph.lab import complete, open_lab
from move37.graph.nodes import workbench
from move37.memory.arms import arm_of
from move37.records import CampaignConfig, Experiment, Policy, Progress
from move37.settings import Settings
from tests.graph.records import lasting

ARMS: dict[Policy, float] = {"best-of-n": 0.3, "random": 0.3}


def config(experiments: int) -> CampaignConfig:
    return CampaignConfig(
        name="arms", tier="smoke", experiments=experiments, arms=ARMS, seed=1, batch=2
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, cache: object) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("arms"), cache=cache)


@pytest.fixture(scope="module")
def played(settings: Settings) -> list[Experiment]:
    """Stopped by an error of ours in its third experiment, and gone on with."""

    def trip(progress: Progress) -> None:
        if (progress.experiment, progress.node, progress.event) == (3, "judge", "started"):
            raise RuntimeError("a bug of ours")

    with pytest.raises(RuntimeError, match="a bug of ours"):
        run_campaign(config(4), settings, trip)
    return run_campaign(config(4), settings)


def test_every_experiment_belongs_to_its_arm_and_sees_no_other(played: list[Experiment]) -> None:
    arms = {one.number: one.arm for one in played}
    assert arms == {n: arm_of(config(4), n) for n in range(1, 5)}
    assert set(arms.values()) == {None, "best-of-n", "random"}
    for one in played:
        assert {arms[n] for n in (one.parent, *one.references) if n} <= {one.arm}
        near = one.novelty.nearest if one.novelty else ()
        assert {arms[number] for number, _ in near} <= {one.arm}
        shown = one.proposal.shown if one.proposal else ()
        lessons = [i for i in shown if i.startswith("lesson-")]
        assert {arms[int(i.removeprefix("lesson-").split(".")[0])] for i in lessons} <= {one.arm}
    assert {one.parent for one in played if one.arm == "best-of-n"} == {0}


def test_a_design_was_predicted_before_its_training_and_judged_by_what_is_believed(
    played: list[Experiment],
) -> None:
    scored = [one for one in played if one.judgement]
    assert len(scored) >= 3
    for one in scored:
        assert one.forecast is not None
        assert len(one.forecast.scorings) == 2
        assert one.judgement is not None
        assert one.judgement.judge_weight == 0.0
        assert one.judgement.terms["judge"] == 0.0
        assert one.judgement.estimate is not None
        roles = [use.role for use in one.usage]
        assert roles.index("forecaster") < roles.index("judge")


@pytest.mark.long
def test_stopped_and_alone_the_record_is_the_same(
    played: list[Experiment], cache: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("alone")
    alone = run_campaign(config(3), Settings(home=home, cache=cache, slots=1))
    assert lasting(alone) == lasting(played[:3])


def test_tools_look_up_experiments_of_the_same_arm_only(
    played: list[Experiment], settings: Settings
) -> None:
    with open_lab(complete(config(4), settings), settings, lambda _: None) as lab:
        for asking in range(5, 8):
            bench = workbench(asking, lab)
            seen = {one.number for one in played if bench.experiment(one.number) is not None}
            before = lab.visible_before(asking)
            own = {e.number for e in played if e.arm == arm_of(lab.config, asking)}
            assert seen == {number for number in own if number < before}
