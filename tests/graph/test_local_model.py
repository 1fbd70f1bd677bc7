"""A real small language model, served on the loopback, in every role of a campaign."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import BaseTool

from benchmarks.local_model import WEIGHTS, Shares, served, shares, told, weights, with_model
from move37.agents.models.calls import JOURNAL, read_calls, totals_of
from move37.agents.models.choosing import chat_model
from move37.agents.researcher import Design
from move37.graph.campaign import run_campaign
from move37.records import CampaignConfig, Experiment, Failed, Outcome, Status, UserError
from move37.settings import Settings
from move37.tools.code import code_tools
from tests.agents.scripted import bench, measured

MISFORMED = Failed(stage="gate", reason="G1: sees the future")
CRASHED = Failed(stage="train", reason="not a number")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = Settings(_env_file=None)
    kept = settings.cache.expanduser() / "models" / WEIGHTS
    if find_spec("xllamacpp") is None or not kept.exists():
        pytest.skip("`make weights` fetches the model")
    with served(weights(settings), tmp_path_factory.mktemp("server") / "log.txt") as url:
        yield url


def ended(outcome: Outcome | None, *revisions: str) -> Experiment:
    """Return an experiment with this end."""
    return Experiment(
        id="e", campaign="c", number=1, status="failed", parent=0,
        outcome=outcome, revisions=revisions,
    )  # fmt: skip


def test_drafts_are_counted_by_whether_they_passed_the_gates_and_when() -> None:
    experiments = [
        ended(None),
        ended(MISFORMED),
        ended(CRASHED),
        ended(measured()),
        ended(measured(), "gate: it sees the future"),
        ended(measured(), "train: not a number"),
        ended(MISFORMED, "policy: it reads a file", "gate: it sees the future"),
    ]
    assert shares(experiments) == Shares(experiments=7, drafts=6, at_first=3, in_the_end=4)


def test_a_model_s_words_are_printed_without_their_control_characters() -> None:
    assert "\x1b" not in told(ended(None).model_copy(update={"reason": "\x1b[2J"})).plain


def test_a_file_that_is_not_there_is_the_user_s_to_mend(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, local_gguf=tmp_path / "none.gguf")
    with pytest.raises(UserError, match=r"MOVE37_LOCAL_GGUF=.*no such file"):
        weights(settings)


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / WEIGHTS).write_bytes(b"GGUF")
    with pytest.raises(UserError, match="not the file that was published"):
        weights(Settings(_env_file=None, cache=tmp_path))


@pytest.mark.slow
def test_a_file_that_is_no_model_is_told_to_the_user(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" * 100)
    with (
        pytest.raises(UserError, match="the local server did not start"),
        served(tmp_path / "broken.gguf", tmp_path / "log.txt"),
    ):
        pass


@pytest.mark.slow
def test_a_real_model_that_is_held_to_a_schema_acts_and_does_nothing_else(
    url: str, tmp_path: Path
) -> None:
    settings = with_model(Settings(_env_file=None), url)
    tools: list[BaseTool | type] = [*code_tools(bench(tmp_path)), Design]
    names = {"read_code", "write_code", "edit_code", "check_code", "Design"}
    model = chat_model("researcher", settings).bind_tools(tools)
    whole = 0
    for number in range(6):
        asked = HumanMessage(f"Write a token mixer. This is try {number}.")
        answer = model.invoke([SystemMessage("You write PyTorch."), asked])
        assert isinstance(answer, AIMessage)
        assert answer.usage_metadata is not None
        if answer.response_metadata.get("finish_reason") == "length":
            assert answer.tool_calls == []
            continue
        whole += 1
        assert {call["name"] for call in answer.tool_calls} <= names
        assert answer.tool_calls
    assert whole > 0


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "count", [pytest.param(1, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.long)]
)
def test_the_loop_runs_with_a_real_model_and_classifies_whatever_comes_of_it(
    count: int, url: str, settings: Settings
) -> None:
    config = CampaignConfig(name="local", tier="smoke", experiments=count, batch=1)
    hurried = {"max_output": 256, "agent_seconds": 60.0}
    experiments = run_campaign(config, with_model(settings, url).model_copy(update=hurried))
    assert [one.number for one in experiments] == list(range(1, count + 1))
    for one in experiments:
        assert one.status in get_args(Status)
        assert one.status == "scored" or one.reason or one.outcome is not None
    spent = totals_of(read_calls(settings.home / "local" / JOURNAL)).campaign
    assert spent.calls >= count
    assert spent.output_tokens > 0
    recorded = sum(use.output_tokens for one in experiments for use in one.usage)
    assert 0 < recorded <= spent.output_tokens
    assert shares(experiments).experiments == count
