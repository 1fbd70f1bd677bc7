"""Campaigns that leave out a part of the loop, and what is recorded of what they were shown."""

from __future__ import annotations

from move37.graph.campaign import run_campaign
from move37.graph.lab import complete, open_lab
from move37.graph.nodes import workbench
from move37.records import CampaignConfig, Part
from move37.settings import Settings
from move37.tools.knowledge import knowledge_tools


def config(*without: Part, experiments: int = 2) -> CampaignConfig:
    """One experiment at a time, so that the second is shown what there is of the first."""
    name = "-".join(("parts", *without))
    return CampaignConfig(
        name=name, tier="smoke", experiments=experiments, batch=1, without=without
    )


def test_without_cognition_no_paper_is_shown_and_no_tool_finds_one(settings: Settings) -> None:
    asked = config("cognition")
    found = run_campaign(asked, settings)
    shown = {i for one in found if one.proposal for i in one.proposal.shown}
    assert shown
    assert all(i.startswith("lesson-") for i in shown)
    with open_lab(complete(asked, settings), settings, lambda _: None) as lab:
        tools = {tool.name for tool in knowledge_tools(workbench(3, lab))}
        assert lab.store.campaign(asked.name).config.without == ("cognition",)  # type: ignore[union-attr]
    assert "search_cognition" not in tools
    assert "search_lessons" in tools


def test_without_analysis_no_analyst_speaks_and_no_lesson_is_shown(settings: Settings) -> None:
    found = run_campaign(config("analysis"), settings)
    assert [one.status for one in found] == ["scored"] * 2
    assert all(one.analysis is None for one in found)
    assert "analyst" not in {use.role for one in found for use in one.usage}
    shown = {i for one in found if one.proposal for i in one.proposal.shown}
    assert shown
    assert not [i for i in shown if i.startswith("lesson-")]


def test_without_novelty_a_repeat_is_measured(settings: Settings) -> None:
    (found,) = run_campaign(config("novelty", experiments=1), settings)
    assert found.novelty
    assert found.novelty.reason == "not checked: the campaign runs without novelty"


def test_a_part_left_out_is_another_campaign_and_the_order_does_not_count() -> None:
    ids = {config(*parts).id for parts in ((), ("novelty",), ("novelty", "analysis"))}
    assert len(ids) == 3
    one = CampaignConfig(name="a", without=("novelty", "analysis"))
    assert one.id == CampaignConfig(name="a", without=("analysis", "novelty")).id
