"""The less travelled paths of one experiment: failures that are mended or not, repeated ideas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from langchain_core.language_models import BaseChatModel

from move37.agents.briefs import ResearchBrief
from move37.agents.prompts.prompting import CONTEXT_KEY
from move37.graph.build import build_graph
from move37.graph.lab import Lab, complete, open_lab
from move37.records import CampaignConfig, Experiment, Failed, Measured
from move37.settings import Settings
from tests.agents.scripted import Scripted, calls, says
from tests.graph.outside import LEAKY

# The same idea from the tokens so far; the state is their sum and number.
MENDED = LEAKY.replace(
    "return v - v.mean(1, keepdim=True), v[:, -1:]",
    """total, count = (0, 0) if state is None else state
        sums = total + v.cumsum(1)
        numbers = count + torch.arange(1, x.shape[1] + 1, device=x.device, dtype=v.dtype)
        return v - sums / numbers[:, None], (sums[:, -1:], numbers[-1])""",
).replace("from torch import nn", "import torch\nfrom torch import nn")


@pytest.fixture
def lab(tmp_path: Path, cache: Path) -> Iterator[Lab]:
    settings = Settings(home=tmp_path / "runs", cache=cache)
    config = complete(CampaignConfig(name="paths", tier="smoke"), settings)
    with open_lab(config, settings, lambda _: None) as opened:
        yield opened


def run(lab: Lab, number: int = 1, **models: BaseChatModel) -> Experiment:
    """Run one experiment with some roles played by other models."""
    played = replace(lab, models={**lab.models, **models})
    build_graph(lambda: played).compile().invoke({"number": number}, {"recursion_limit": 60})
    experiment = lab.store.experiment("paths", number)
    assert experiment is not None
    return experiment


def writes(code: str) -> Scripted:
    """A researcher that writes this code and says that it is a good idea."""
    answer = {"name": "mine", "motivation": "m", "hypothesis": "h", "expected_gain": 0.1}
    return Scripted(script=[calls("write_code", code=code), calls("Design", **answer)] * 5)


REPAIR = calls("Repair", cause="It sees the whole text.", change="A running mean.")


def test_the_engineer_mends_what_the_gates_refuse(lab: Lab) -> None:
    engineer = Scripted(script=[calls("write_code", code=MENDED), REPAIR])
    experiment = run(lab, researcher=writes(LEAKY), engineer=engineer)
    assert experiment.status == "scored"
    assert isinstance(experiment.outcome, Measured)
    assert len(experiment.revisions) == 1
    assert "G1" in experiment.revisions[0]
    assert experiment.proposal is not None
    assert experiment.proposal.revision == 1
    roles = {"researcher", "forecaster", "engineer", "judge", "analyst"}
    assert {use.role for use in experiment.usage} == roles
    # The idea was predicted once; mending its code does not ask again.
    assert [use.role for use in experiment.usage].count("forecaster") == 2


def test_a_revision_that_drops_the_idea_is_sent_back_and_then_not_evaluated(lab: Lab) -> None:
    written = calls("write_code", code=lab.root.code)
    engineer = Scripted(script=[written, REPAIR, REPAIR] * 3)
    experiment = run(lab, researcher=writes(LEAKY), engineer=engineer)
    assert experiment.status == "failed"
    assert experiment.proposal is not None
    assert experiment.proposal.code.strip() == LEAKY.strip()
    assert experiment.proposal.revision == len(experiment.revisions) == lab.config.max_revisions
    assert experiment.proposal.motivation.count("not accepted, as the revision takes") == 3
    assert "Not accepted" in engineer.seen[2][-1].text


def test_what_cannot_be_mended_is_archived_with_its_cause(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = Mock(wraps=lab.evaluator.evaluate)
    monkeypatch.setattr(lab.evaluator, "evaluate", evaluate)
    idle = Scripted(script=[calls("Repair", cause="unknown", change="none")])
    experiment = run(lab, researcher=writes(LEAKY), engineer=idle)
    assert experiment.status == "failed"
    assert isinstance(experiment.outcome, Failed)
    assert experiment.reason.startswith("gate: G1")
    assert len(experiment.revisions) == lab.config.max_revisions
    # Code that stayed as it was would fail again.
    assert evaluate.call_count == 1
    assert experiment.analysis is not None
    assert (lab.path(1) / "candidate.py").read_text().strip() == LEAKY.strip()


def test_a_repeated_idea_goes_back_and_is_refused_in_the_end(lab: Lab) -> None:
    first = run(lab)
    assert first.proposal is not None
    again = run(lab, 3, researcher=writes(first.proposal.code + "# again\n"))
    assert again.status == "refused"
    assert "repeats experiment 1" in again.reason
    assert again.outcome is None
    # Before each attempt the designs that it is shown are told afresh.
    roles = [use.role for use in again.usage]
    assert roles == ["summarizer", "researcher"] * (lab.config.max_repeats + 1)


def test_a_researcher_that_gives_up_was_told_of_the_first_design_and_its_cost_is_kept(
    lab: Lab,
) -> None:
    first = run(lab)
    gone = Scripted(script=[ConnectionError("gone")])
    given_up = run(lab, 3, researcher=gone)
    assert given_up.status == "refused"
    assert [use.role for use in given_up.usage] == ["summarizer", "researcher"]
    brief = ResearchBrief.model_validate(gone.seen[0][-1].additional_kwargs[CONTEXT_KEY]["brief"])
    assert first.proposal is not None
    assert isinstance(first.outcome, Measured)
    (account,) = brief.accounts
    assert (account.number, account.parent) == (1, 0)
    assert account.gain == pytest.approx(lab.root.loss - first.outcome.loss())
    assert set(brief.summaries) == {1}
    assert brief.plateau is None
    assert brief.tier.startswith("smoke, ")


def test_an_analyst_that_cannot_be_had_costs_the_lesson_only(lab: Lab) -> None:
    experiment = run(lab, analyst=Scripted(script=[says("I would rather not.")]))
    assert experiment.status == "scored"
    assert experiment.analysis is None
    assert experiment.reason.startswith("analyst: ")


def test_a_judge_that_cannot_be_had_leaves_the_measurement_unjudged(lab: Lab) -> None:
    experiment = run(lab, judge=Scripted(script=[ConnectionError("gone")]))
    assert experiment.status == "unjudged"
    assert isinstance(experiment.outcome, Measured)
    assert experiment.fitness is None
    assert experiment.forecast is None


def test_a_judge_that_answers_once_only_has_predicted_nothing(lab: Lab) -> None:
    once = calls("Prediction", gain=0.01, sd=0.02, reason="a guess")
    marks = {"innovation": 5, "complexity": 5, "convergence": 5, "performance": 5, "reason": "r"}
    asked_again = [ConnectionError("gone")] * 5
    judge = Scripted(script=[once, *asked_again, calls("Rubric", **marks)])
    experiment = run(lab, judge=judge)
    assert experiment.forecast is None
    assert experiment.status in ("scored", "unjudged")


def test_a_design_is_predicted_twice_without_its_result_and_with_the_evidence_turned(
    lab: Lab,
) -> None:
    script = [calls("Prediction", gain=gain, sd=0.02, reason="a guess") for gain in (0.01, 0.03)]
    marks = {"innovation": 5, "complexity": 5, "convergence": 5, "performance": 5, "reason": "r"}
    judge = Scripted(script=[*script, calls("Rubric", **marks)])
    experiment = run(lab, judge=judge)
    assert experiment.forecast is not None
    assert [one.gain for one in experiment.forecast.scorings] == [0.01, 0.03]
    assert experiment.forecast.gain == pytest.approx(0.02)
    asked = [str(messages[-1].content) for messages in judge.seen[:2]]
    places = [
        [text.index(title) for title in ("## Design", "## Parent", "## Code")] for text in asked
    ]
    assert places[0] == sorted(places[0])
    assert places[1] == sorted(places[1], reverse=True)
    assert isinstance(experiment.outcome, Measured)
    assert not [text for text in asked if f"{experiment.outcome.loss():.4f}" in text]
    assert experiment.judgement is not None
    assert experiment.judgement.judge_weight == 0.0
