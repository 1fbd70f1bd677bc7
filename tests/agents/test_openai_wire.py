"""A provider's real client against a server on the loopback: what goes out and comes back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from move37.agents.judge import judge
from move37.agents.models import chat_model, embedder
from move37.memory.cognition import CognitionBase
from move37.memory.embedding import Embedder
from move37.records import Rubric, TokenUse, UserError, Weather
from move37.settings import Settings
from tests.agents.scripted import judge_brief, measured

MARKS = {"innovation": 4, "complexity": 5, "convergence": 6, "performance": 7, "reason": "ok"}


class Provider(ThreadingHTTPServer):
    """Answers every request with one status; 200 is a call of the tool Rubric."""

    daemon_threads = True
    status = 200
    asked: list[dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        provider = self.server
        assert isinstance(provider, Provider)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        provider.asked.append(body)
        good = _vectors(body) if "embeddings" in self.path else _answer()
        answer = json.dumps(good if provider.status == 200 else {"error": {"message": "no"}})
        self.send_response(provider.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output quiet."""


def _vectors(body: dict[str, Any]) -> dict[str, Any]:
    """Return embeddings of three dimensions: length, number of words, 1."""
    texts = body["input"]
    found = [[float(len(text)), float(text.count(" ")), 1.0] for text in texts]
    data = [
        {"object": "embedding", "index": place, "embedding": vector}
        for place, vector in enumerate(found)
    ]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "data": data, "model": "local-1", "usage": usage}


def _answer() -> dict[str, Any]:
    """Return a chat completion that calls the answer's tool."""
    function = {"name": "Rubric", "arguments": json.dumps(MARKS)}
    call = {"id": "1", "type": "function", "function": function}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "local-1",
        "choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Provider(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def ask(provider: Provider) -> tuple[Rubric, TokenUse]:
    """Have the provider's model judge."""
    settings = Settings(
        _env_file=None,
        model="openai:local",
        base_url=f"http://127.0.0.1:{provider.server_address[1]}/v1",
        api_key=SecretStr("word"),
        model_timeout=5,
    )
    return judge(judge_brief(measured()), chat_model("judge", settings))


def test_marks_and_tokens_come_back_over_the_wire(provider: Provider) -> None:
    rubric, use = ask(provider)
    assert rubric.score == pytest.approx(0.55)
    assert (use.model, use.calls) == ("local-1", 1)
    assert (use.input_tokens, use.output_tokens) == (100, 20)


def test_the_provider_sees_prompt_and_tools_but_not_the_data_beside_them(
    provider: Provider,
) -> None:
    ask(provider)
    (sent,) = provider.asked
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["Rubric"]
    assert [set(message) for message in sent["messages"]] == [{"role", "content"}] * 2
    assert "# Experiment 3" in sent["messages"][1]["content"]


@pytest.mark.parametrize("status", [408, 429, 500, 529])
def test_a_provider_in_trouble_is_weather_after_one_try(provider: Provider, status: int) -> None:
    provider.status = status
    with pytest.raises(Weather):
        ask(provider)
    assert len(provider.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_told_to_the_user(provider: Provider, status: int) -> None:
    provider.status = status
    with pytest.raises(UserError, match="check MOVE37_MODEL"):
        ask(provider)
    assert len(provider.asked) == 1


def test_a_server_that_is_not_there_is_weather(provider: Provider) -> None:
    provider.shutdown()
    provider.server_close()
    with pytest.raises(Weather):
        ask(provider)


def vectors(provider: Provider) -> Embedder:
    """Return the provider's embedding model."""
    return embedder(
        Settings(
            _env_file=None,
            embedding="openai:local-vectors",
            base_url=f"http://127.0.0.1:{provider.server_address[1]}/v1",
            api_key=SecretStr("word"),
        )
    )


def test_texts_are_embedded_over_the_wire_at_unit_length(provider: Provider) -> None:
    found = vectors(provider).embed(["two words", "", "one"])
    assert found.shape == (3, 3)
    assert np.linalg.norm(found, axis=1) == pytest.approx([1.0, 0.0, 1.0])
    assert provider.asked[0]["input"] == ["two words", " ", "one"]


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
    provider.status = status
    broken = CognitionBase(tmp_path / "other", embedder=vectors(provider))
    with pytest.raises(UserError, match="openai:local-vectors failed"):
        broken.build()
    broken.close()
    again = CognitionBase(tmp_path)
    assert again.build().changed == 0
    again.close()
