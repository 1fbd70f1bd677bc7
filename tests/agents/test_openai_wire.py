"""A provider's real client against a server on the loopback: what goes out and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from move37.agents.judge import judge
from move37.agents.models.choosing import Means, chat_model, embedder
from move37.agents.models.wire import Patience
from move37.memory.cognition import CognitionBase
from move37.memory.embedding import Embedder
from move37.records import Rubric, TokenUse, UserError, Weather
from tests.agents.openai_server import Plan, Provider, Reply, calling, refuse, serving
from tests.agents.scripted import judge_brief, measured

MARKS = calling("Rubric", innovation=4, complexity=5, convergence=6, performance=7, reason="ok")
PATIENCE = Patience(attempts=3, first=0.001, longest=1.0)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving(lambda _body: MARKS) as provider:
        yield provider


def ask(provider: Provider) -> tuple[Rubric, TokenUse]:
    """Have the provider's model judge."""
    model = chat_model("judge", provider.settings(), Means(patience=PATIENCE))
    return judge(judge_brief(measured()), model)


def with_status(status: int, text: str = "no") -> Plan:
    """Return a plan that refuses everything."""
    return lambda _body, _words: (str(status), refuse(status, text))


def test_marks_and_tokens_come_back_over_the_wire(provider: Provider) -> None:
    rubric, use = ask(provider)
    assert rubric.score == pytest.approx(0.55)
    assert (use.model, use.calls) == ("local-1", 1)
    assert (use.input_tokens, use.output_tokens) == (100, 20)


def test_the_provider_sees_prompt_and_tools_but_not_the_data_beside_them(
    provider: Provider,
) -> None:
    ask(provider)
    (sent,) = provider.ledger.asked
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["Rubric"]
    assert [set(message) for message in sent["messages"]] == [{"role", "content"}] * 2
    assert "# Experiment 3" in sent["messages"][1]["content"]


@pytest.mark.parametrize("status", [408, 429, 500, 529])
def test_a_provider_in_trouble_is_weather_after_three_tries(
    provider: Provider, status: int
) -> None:
    provider.plan = with_status(status)
    with pytest.raises(Weather) as told:
        ask(provider)
    assert len(provider.ledger.asked) == PATIENCE.attempts
    assert [use.calls for use in told.value.use] == [0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_told_to_the_user(provider: Provider, status: int) -> None:
    provider.plan = with_status(status)
    with pytest.raises(UserError, match="check MOVE37_MODEL"):
        ask(provider)
    assert len(provider.ledger.asked) == 1


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9514 tokens",
        "request (9514 tokens) exceeds the available context size (8192 tokens)",
        "context_length_exceeded",
    ],
    ids=("vllm", "llama.cpp", "openai"),
)
def test_a_conversation_that_outgrew_the_model_is_weather_at_once(
    provider: Provider, text: str
) -> None:
    provider.plan = with_status(400, text)
    with pytest.raises(Weather, match="context"):
        ask(provider)
    assert len(provider.ledger.asked) == 1


def test_a_server_that_is_not_there_is_weather(provider: Provider) -> None:
    provider.shutdown()
    provider.server_close()
    with pytest.raises(Weather):
        ask(provider)


def waiting(seconds: str) -> Plan:
    """Return a plan that asks the first request to wait."""
    replies = iter([refuse(429, "slow down", Retry_After=seconds)])

    def plan(*_: object) -> tuple[str, Reply] | None:
        reply = next(replies, None)
        return None if reply is None else ("429", reply)

    return plan


def test_a_client_waits_as_long_as_the_server_asks_for(provider: Provider) -> None:
    provider.plan = waiting("0.6")
    started = time.monotonic()
    ask(provider)
    assert time.monotonic() - started >= 0.6
    assert len(provider.ledger.asked) == 2


def test_a_wait_beyond_all_patience_is_weather_now(provider: Provider) -> None:
    provider.plan = waiting("3600")
    started = time.monotonic()
    with pytest.raises(Weather, match="slow down"):
        ask(provider)
    assert time.monotonic() - started < 10
    assert len(provider.ledger.asked) == 1


class Said(TypedDict, total=False):
    rubric: Rubric


def test_no_call_is_streamed_even_where_a_graph_listens_for_tokens(provider: Provider) -> None:
    # A stream that ends early looks whole to LangChain: half an answer would enter the record.
    builder = StateGraph(Said)
    builder.add_node("judge", lambda _state: {"rubric": ask(provider)[0]})
    builder.add_edge(START, "judge")
    builder.add_edge("judge", END)
    graph = builder.compile()
    parts = list(graph.stream({}, stream_mode=["messages", "values"]))
    assert "rubric" in str(parts[-1])
    assert [body.get("stream", False) for body in provider.ledger.asked] == [False]


def vectors(provider: Provider) -> Embedder:
    """Return the provider's embedding model."""
    return embedder(provider.settings(embedding="openai:local-vectors"))


def test_texts_are_embedded_over_the_wire_at_unit_length(provider: Provider) -> None:
    found = vectors(provider).embed(["two words", "", "one"])
    assert found.shape == (3, 3)
    assert np.linalg.norm(found, axis=1) == pytest.approx([1.0, 0.0, 1.0])
    assert provider.ledger.asked[0]["input"] == ["two words", " ", "one"]


def test_a_base_is_built_and_searched_with_a_provider_s_vectors(
    provider: Provider, tmp_path: Path
) -> None:
    base = CognitionBase(tmp_path, embedder=vectors(provider))
    assert base.build().changed == len(base.lessons())
    assert len(base.search("what fades", 3)) == 3
    base.close()
    with pytest.raises(UserError, match="openai:local-vectors, not with wordllama"):
        CognitionBase(tmp_path)


@pytest.mark.parametrize("status", [401, 500])
def test_an_embedding_model_that_fails_leaves_the_base_untouched(
    provider: Provider, tmp_path: Path, status: int
) -> None:
    base = CognitionBase(tmp_path)
    base.build()
    base.close()
    provider.plan = with_status(status)
    broken = CognitionBase(tmp_path / "other", embedder=vectors(provider))
    with pytest.raises(UserError, match="openai:local-vectors failed"):
        broken.build()
    broken.close()
    again = CognitionBase(tmp_path)
    assert again.build().changed == 0
    again.close()
