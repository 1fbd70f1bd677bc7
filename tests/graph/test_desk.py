"""The desk of a researcher outside: the same brief, the same gates and the same record."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from move37.agents import researcher
from move37.agents.researcher import Design
from move37.graph import asking, nodes
from move37.graph.asking import DesignWanted
from move37.graph.build import build_graph
from move37.graph.campaign import run_campaign
from move37.graph.desk import Desk, open_desk
from move37.graph.fork import Node, fork_config
from move37.graph.lab import complete, open_lab, open_store
from move37.graph.standing import Standing, show_standing
from move37.records import Experiment, Forked, Measured, Proposal, UserError
from move37.settings import Settings
from tests.agents.scripted import Scripted, calls
from tests.graph.outside import GOOD, LEAKY, OTHER, config, idea
from tests.graph.records import lasting
from tests.test_cli import is_one_clear_line, move37


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    with open_desk(complete(config(), settings), settings, lambda _: None) as opened:
        yield opened


def ended(desk: Desk, number: int) -> Experiment:
    """Wait for the end of an experiment and return its record."""
    standing = desk.standing(number, wait_seconds=300)
    assert standing.experiment is not None, standing
    return standing.experiment


def proposed(experiment: Experiment) -> Proposal:
    assert experiment.proposal is not None
    return experiment.proposal


@pytest.mark.slow
def test_the_record_is_that_of_an_agent_with_the_same_idea(
    desk: Desk, settings: Settings, tmp_path: Path
) -> None:
    request = desk.brief()
    desk.look_up("search_cognition", query="the memory must forget", k=2)
    desk.submit(idea(), GOOD)
    outside = ended(desk, 1)

    asked = [
        calls("search_cognition", query="the memory must forget", k=2),
        calls("write_code", code=GOOD),
        calls("Design", **idea()),
    ]
    agent = Scripted(script=asked)
    own = settings.model_copy(update={"home": tmp_path / "agent"})
    with open_lab(complete(config(models={}), own), own, lambda _: None) as lab:
        played = replace(lab, models={**lab.models, "researcher": agent})
        build_graph(lambda: played).compile().invoke({"number": 1})
        inside = lab.store.experiment("desk", 1)

    def compared(experiment: Experiment | None) -> Any:
        assert experiment is not None
        uses = tuple(use for use in experiment.usage if use.role != "researcher")
        return lasting(experiment.model_copy(update={"id": "", "usage": uses}))

    assert outside.status == "scored"
    assert compared(outside) == compared(inside)
    # The same words were read by both.
    system, message = agent.seen[0][:2]
    assert request.brief == f"{system.text}\n\n{message.text}"


@pytest.mark.slow
def test_only_what_was_shown_counts_and_what_was_looked_up_was_shown(desk: Desk) -> None:
    shown = desk.brief().shown
    found = desk.look_up("search_cognition", query="parity stays at chance", k=8)
    new = next(i for i in _ids(found) if i not in shown)
    desk.submit(idea(cognition_ids=[new, shown[0], "invented"]), GOOD)
    proposal = proposed(ended(desk, 1))
    assert proposal.cognition_ids == (new, shown[0])
    assert proposal.shown[: len(shown)] == shown
    assert new in proposal.shown[len(shown) :]
    assert proposal.mechanisms == ("gated-delta-rule",)


def _ids(text: str) -> list[str]:
    return [line[1:].partition("]")[0] for line in text.splitlines() if line.startswith("[")]


def test_the_draft_begins_as_the_parents_code_and_is_what_is_handed_in(desk: Desk) -> None:
    with pytest.raises(UserError, match="ask for the brief first"):
        desk.check()
    desk.brief()
    assert desk.draft.read_text() == desk.lab.root.code
    with pytest.raises(UserError, match="still the parent's"):
        desk.submit(idea())
    assert desk.standing().state == "wanted"
    desk.draft.write_text(LEAKY)
    assert desk.check().startswith("FAILED")
    assert desk.check(GOOD).startswith("PASSED")
    desk.draft.write_text(GOOD)
    desk.submit(idea())
    assert proposed(ended(desk, 1)).code == GOOD


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ({"name": ""}, GOOD, "name: String should have at least 1 character"),
        ({"name": "x" * 81}, GOOD, "name: "),
        ({"expected_gain": "much"}, GOOD, "expected_gain: "),
        ({"expected_gain": float("nan")}, GOOD, "expected_gain: "),
        ({"mechanisms": "all"}, GOOD, "mechanisms: "),
        ({}, "", "the code is empty"),
        ({}, "x = 1\n" * 20_000, "the limit is"),
        ({}, "x = '\ud800'", "not valid text"),
    ],
)
def test_a_wrong_design_is_told_at_once_and_costs_nothing(
    desk: Desk, wrong: dict[str, Any], code: str, said: str
) -> None:
    before = desk.brief()
    with pytest.raises(UserError, match=said) as caught:
        desk.submit(idea(**wrong), code)
    assert "\n" not in str(caught.value)
    assert desk.standing().state == "wanted"
    assert desk.brief() == before


def test_a_repeat_comes_back_with_the_reason_until_no_attempts_are_left(desk: Desk) -> None:
    desk.brief()
    desk.submit(idea(), GOOD)
    assert ended(desk, 1).status == "scored"
    seen: list[Standing] = []
    for attempt in range(desk.lab.config.max_repeats + 1):
        request = desk.brief()
        assert request.attempt == attempt
        # What was refused stands in the next brief.
        assert ("repeats experiment 1" in request.brief) == (attempt > 0)
        seen.append(desk.submit(idea(f"again {attempt}"), f"{GOOD}# {attempt}\n"))
        seen[-1] = desk.standing(2, wait_seconds=60)
    assert [one.attempts_left for one in seen[:-1]] == [3, 2, 1]
    text = show_standing(seen[0], {})
    assert "refused as a repeat" in text
    assert "Attempts left: 3" in text
    assert seen[-1].experiment is not None
    assert seen[-1].experiment.status == "refused"
    assert proposed(seen[-1].experiment).name == "again 3"


@pytest.mark.slow
def test_one_experiment_is_under_way_at_a_time_and_its_progress_is_told(desk: Desk) -> None:
    desk.brief()
    desk.submit(idea(), GOOD)
    with pytest.raises(UserError, match="experiment 1 is under way"):
        desk.submit(idea("other"), OTHER)
    with pytest.raises(UserError, match="ask again later"):
        desk.brief(wait_seconds=0)
    told = show_standing(desk.standing(wait_seconds=0), {})
    assert told.startswith("Experiment 1 is under way")
    assert ended(desk, 1).status == "scored"
    assert desk.brief().experiment == 2


@pytest.mark.slow
def test_a_campaign_that_is_complete_says_how_to_go_on(settings: Settings) -> None:
    one = complete(config(experiments=1), settings)
    with open_desk(one, settings, lambda _: None) as desk:
        desk.brief()
        desk.submit(idea(), GOOD)
        ended(desk, 1)
        with pytest.raises(UserError, match="--experiments 9"):
            desk.brief()
        told = show_standing(desk.standing(), desk.lab.baseline.noise)
    assert told.startswith("Experiment 1 has ended: scored, gated.")
    assert "baseline" in told
    with open_desk(one.model_copy(update={"experiments": 2}), settings, lambda _: None) as desk:
        assert desk.brief().experiment == 2


@pytest.mark.slow
def test_a_desk_that_is_closed_in_the_middle_goes_on_where_it_was(settings: Settings) -> None:
    whole = complete(config(experiments=1), settings)
    briefs: list[DesignWanted] = []

    def killed_behind_the_brief() -> None:
        with open_desk(whole, settings, lambda _: None) as desk:
            briefs.append(desk.brief())
            raise KeyboardInterrupt

    def killed_in_training() -> None:
        with open_desk(whole, settings, lambda _: None) as desk:
            briefs.append(desk.brief())
            desk.submit(idea(), GOOD)
            while "training" not in show_standing(desk.standing(wait_seconds=0.05), {}):
                assert desk.standing(wait_seconds=0).state == "running"
            raise KeyboardInterrupt

    for kill in (killed_behind_the_brief, killed_in_training):
        with pytest.raises(KeyboardInterrupt):
            kill()
    assert briefs[0] == briefs[1]
    with open_desk(whole, settings, lambda _: None) as desk:
        # Nobody has to ask: what was killed on its way is taken up by itself.
        experiment = ended(desk, 1)
    assert experiment.status == "scored"
    assert proposed(experiment).name == "gated"


@pytest.mark.slow
def test_a_design_handed_in_when_the_process_dies_is_the_one_that_counts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = complete(config(experiments=1), settings)
    true, taken = researcher.settled, list[str]()

    def dies_in_the_node(design: Design, code: str, shown: Iterable[str]) -> Proposal:
        taken.append(design.name)
        # The first look at it is the desk's own, before it is handed in.
        if len(taken) == 2:
            raise KeyboardInterrupt
        return true(design, code, shown)

    def killed() -> None:
        with open_desk(whole, settings, lambda _: None) as desk:
            desk.brief()
            desk.submit(idea(), GOOD)
            desk.standing(wait_seconds=60)

    monkeypatch.setattr(asking, "settled", dies_in_the_node)
    with pytest.raises(KeyboardInterrupt):
        killed()
    with open_desk(whole, settings, lambda _: None) as desk:
        with pytest.raises(UserError, match="no design is wanted"):
            desk.submit(idea("another"), OTHER)
        assert proposed(ended(desk, 1)).name == "gated"


@pytest.mark.slow
def test_the_brief_is_built_once_however_often_it_is_asked_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []
    true = nodes._research_brief

    def counted(*arguments: Any) -> Any:
        built.append(1)
        return true(*arguments)

    monkeypatch.setattr(nodes, "_research_brief", counted)
    whole = complete(config(), settings)
    with open_desk(whole, settings, lambda _: None) as desk:
        assert desk.brief() == desk.brief()
    with open_desk(whole, settings, lambda _: None) as desk:
        desk.brief()
        desk.submit(idea(), GOOD)
        ended(desk, 1)
    assert len(built) == 1


@pytest.mark.slow
def test_what_a_user_has_to_mend_is_told_and_the_next_brief_goes_on(desk: Desk) -> None:
    judge = desk.lab.models["judge"]
    desk.lab.models["judge"] = Scripted(script=[UserError("no key: set MOVE37_API_KEY")])
    desk.brief()
    desk.submit(idea(), GOOD)
    standing = desk.standing(1, wait_seconds=300)
    assert standing.state == "stopped"
    assert "set MOVE37_API_KEY" in show_standing(standing, {})
    with pytest.raises(UserError, match="set MOVE37_API_KEY"):
        desk.brief()
    desk.lab.models["judge"] = judge
    with pytest.raises(UserError, match="ask again later"):
        desk.brief(wait_seconds=0.1)
    assert isinstance(ended(desk, 1).outcome, Measured)


def test_a_campaign_without_cognition_has_no_search(settings: Settings) -> None:
    without = complete(config(without=("cognition",)), settings)
    with open_desk(without, settings, lambda _: None) as desk:
        desk.brief()
        with pytest.raises(UserError, match="without search_cognition"):
            desk.look_up("search_cognition", query="x")
        with pytest.raises(UserError, match="there is no experiment 1"):
            desk.look_up("read_experiment", number=1)
        assert "class TokenMixer" in desk.look_up("read_template", name="kda")


def test_a_campaign_that_waits_for_nobody_is_refused(settings: Settings) -> None:
    with pytest.raises(UserError, match="move37 mcp"):
        run_campaign(config(), settings)


@pytest.mark.slow
def test_a_fork_goes_on_where_nobody_outside_has_to_be_asked(settings: Settings) -> None:
    with open_desk(complete(config(), settings), settings, lambda _: None) as desk:
        desk.brief()
        desk.submit(idea(), GOOD)
        before = ended(desk, 1)
        campaign = desk.lab.store.campaign("desk")
    assert campaign is not None

    def forked(node: Node) -> Experiment:
        at = Forked(campaign="desk", number=1, node=node)
        return run_campaign(fork_config(campaign, at, set(), None, None), settings)[0]

    after = forked("judge")
    assert (after.proposal, after.outcome) == (before.proposal, before.outcome)
    assert after.status == "scored"
    with pytest.raises(UserError, match="the researcher is external"):
        forked("researcher")


def test_a_server_without_a_desk_waits_for_the_same_answer(settings: Settings) -> None:
    with open_lab(complete(config(), settings), settings, lambda _: None, outside=True) as lab:
        graph = build_graph(lambda: lab).compile(checkpointer=InMemorySaver())
        thread: Any = {"configurable": {"thread_id": "t"}}
        (asked,) = graph.invoke({"approve": True}, thread)["__interrupt__"]
        assert "class TokenMixer" in asked.value["brief"]
        assert "code" in asked.response_schema["properties"]
        for wrong, said in (
            ("a gate", "the answer: "),
            (idea(), "code: Field required"),
            (idea(code=lab.root.code), "still the parent's"),
        ):
            (asked,) = graph.invoke(Command(resume=wrong), thread)["__interrupt__"]
            assert said in asked.value["problem"]
        (asked,) = graph.invoke(Command(resume=idea(code=GOOD)), thread)["__interrupt__"]
        assert asked.value["wanted"] == "approval"
        assert asked.value["name"] == "gated"


@pytest.mark.slow
def test_a_person_with_an_editor_fills_in_a_draft_and_a_form(settings: Settings) -> None:
    home, cache = settings.home, str(settings.cache)
    laid_out = move37(home, "brief", "--tier", "smoke", "-n", "1", MOVE37_CACHE=cache)
    assert laid_out.returncode == 0, laid_out.stderr
    assert "class TokenMixer" in laid_out.stdout
    (form,) = home.glob("desk/*/idea.toml")
    assert str(form) in laid_out.stderr
    is_one_clear_line(move37(home, "submit", MOVE37_CACHE=cache), "name: String should have")
    told = idea(motivation="Forget\nwhat is stale.")
    form.write_text(tomli_w.dumps({**tomllib.loads(form.read_text()), **told}))
    is_one_clear_line(move37(home, "submit", MOVE37_CACHE=cache), "still the parent's")
    form.with_name("draft.py").write_text(GOOD)
    done = move37(home, "submit", MOVE37_CACHE=cache)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Experiment 1 has ended: scored, gated.")
    with open_store(settings) as store:
        (experiment,) = store.experiments("desk")
    assert proposed(experiment).motivation == "Forget\nwhat is stale."


@pytest.mark.long
def test_a_person_is_told_of_a_repeat_and_keeps_the_draft(settings: Settings) -> None:
    whole = complete(config(), settings)
    with open_desk(whole, settings, lambda _: None) as desk:
        desk.brief()
        desk.submit(idea(), GOOD)
        ended(desk, 1)
        desk.brief()
        draft = desk.draft
    again = f"{GOOD}# again\n"
    draft.write_text(again)
    draft.with_name("idea.toml").write_text(tomli_w.dumps(idea("again")))
    told = move37(settings.home, "submit", MOVE37_CACHE=str(settings.cache))
    assert told.returncode == 1, told.stderr
    assert "refused as a repeat" in told.stdout
    assert draft.read_text() == again
