"""A server that speaks OpenAI's protocol on the loopback: a test gives the words, or a fault."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from move37.agents.offline.model import OfflineModel
from move37.settings import Settings

Body = dict[str, Any]
NAME = "local-1"
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True)
class Words:
    """What a model says: text, and calls of tools as (name, arguments in JSON)."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    refusal: str | None = None
    finish: str | None = None
    tokens: tuple[int, int] = (100, 20)

    def message(self, key: str) -> Body:
        """The words as the message of an answer; `key` makes the ids of its calls."""
        said: Body = {"role": "assistant", "content": self.text or None}
        if self.refusal is not None:
            said["refusal"] = self.refusal
        if self.calls:
            said["tool_calls"] = [
                {
                    "id": f"{key}-{place}",
                    "type": "function",
                    "function": {"name": name, "arguments": arguments},
                }
                for place, (name, arguments) in enumerate(self.calls)
            ]
        return said


def calling(name: str, /, **arguments: object) -> Words:
    """Return the words that call one tool."""
    return Words(calls=((name, json.dumps(arguments)),))


@dataclass(frozen=True)
class Reply:
    """One answer on the wire; status 0 is a connection that ends before a word.

    `wait` and `pause` are seconds before the first byte and between the pieces. With `cut` the
    connection ends after so many bytes of the body, though more were announced. `tokens` are read
    and written ones, None where the client cannot learn of them.
    """

    pieces: tuple[bytes, ...]
    status: int = 200
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    wait: float = 0.0
    pause: float = 0.0
    cut: int | None = None
    tokens: tuple[int, int] | None = None

    @property
    def body(self) -> bytes:
        """All pieces as one."""
        return b"".join(self.pieces)


Policy = Callable[[Body], Words]
Plan = Callable[[Body, Words], tuple[str, Reply] | None]


def refuse(status: int, text: str = "no", **headers: str) -> Reply:
    """Return an error as OpenAI's servers send it."""
    body = json.dumps({"error": {"message": text, "type": "test", "code": None}}).encode()
    return Reply((body,), status, headers=tuple(headers.items()))


def plain(words: Words, key: str = "c") -> Reply:
    """Return an answer in one piece."""
    finish = words.finish or ("tool_calls" if words.calls else "stop")
    answer = {
        "id": key,
        "object": "chat.completion",
        "created": 0,
        "model": NAME,
        "choices": [{"index": 0, "message": words.message(key), "finish_reason": finish}],
        "usage": _usage(words),
    }
    return Reply((json.dumps(answer).encode(),), tokens=words.tokens)


def streamed(words: Words, key: str = "c") -> Reply:
    """Return an answer as a stream of events: the message in small pieces, then its cost."""
    finish = words.finish or ("tool_calls" if words.calls else "stop")
    deltas = [*_deltas(words.message(key))]
    chunks: list[Body] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({"choices": [], "usage": _usage(words)})
    head = {"id": key, "object": "chat.completion.chunk", "created": 0, "model": NAME}
    events = tuple(f"data: {json.dumps(head | chunk)}\n\n".encode() for chunk in chunks)
    return Reply((*events, b"data: [DONE]\n\n"), kind="text/event-stream", tokens=words.tokens)


def _deltas(message: Body) -> Iterator[Body]:
    """Yield a message in pieces; the arguments of its calls come in halves."""
    yield {"role": "assistant", "content": ""}
    text = message["content"] or ""
    middle = len(text) // 2
    for part in (text[:middle], text[middle:]):
        if part:
            yield {"content": part}
    if "refusal" in message:
        yield {"refusal": message["refusal"]}
    for place, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        middle = len(function["arguments"]) // 2
        first = {"name": function["name"], "arguments": function["arguments"][:middle]}
        yield {"tool_calls": [{**call, "index": place, "function": first}]}
        last = {"arguments": function["arguments"][middle:]}
        yield {"tool_calls": [{"index": place, "function": last}]}


def _usage(words: Words) -> Body:
    read, written = words.tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


@dataclass
class Ledger:
    """What the server was asked, what it played, and the tokens of the answers that went out."""

    asked: list[Body] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens read and written, as the server told its client."""
        return self.input_tokens, self.output_tokens


class Provider(ThreadingHTTPServer):
    """Answers chats by its policy, unless its plan puts a fault in the answer's place."""

    daemon_threads = True
    # A client that gave up left its connection full.
    block_on_close = False

    def __init__(self, policy: Policy) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.policy = policy
        self.plan: Plan = lambda _body, _words: None
        self.ledger = Ledger()
        self.closing = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def settings(self, **more: Any) -> Settings:
        """Return settings of one who uses this server for every role."""
        given: dict[str, Any] = {"model": "openai:local", "base_url": self.url}
        given |= {"api_key": SecretStr("word"), "model_timeout": 5.0}
        return Settings(_env_file=None, **(given | more))

    def chat(self, body: Body) -> Reply:
        """Return the answer to a chat, and note what is played."""
        with self._lock:
            self.ledger.asked.append(body)
            words = self.policy(body)
            key = f"c{len(self.ledger.asked)}"
            fault = self.plan(body, words)
            if fault is None:
                return streamed(words, key) if body.get("stream") else plain(words, key)
            self.ledger.faults[fault[0]] += 1
            return fault[1]

    def embeddings(self, body: Body) -> Reply:
        """Return vectors of three dimensions: length, number of words, 1."""
        with self._lock:
            self.ledger.asked.append(body)
            fault = self.plan(body, Words())
        if fault is not None:
            return fault[1]
        found = [[float(len(text)), float(text.count(" ")), 1.0] for text in body["input"]]
        data = [
            {"object": "embedding", "index": place, "embedding": vector}
            for place, vector in enumerate(found)
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        answer = {"object": "list", "data": data, "model": NAME, "usage": usage}
        return Reply((json.dumps(answer).encode(),))

    def count(self, tokens: tuple[int, int]) -> None:
        """Count an answer that a client can read."""
        with self._lock:
            self.ledger.answers += 1
            self.ledger.input_tokens += tokens[0]
            self.ledger.output_tokens += tokens[1]

    def stop(self) -> None:
        """Stop listening; what waits is let go."""
        self.closing.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One request and its answer, piece by piece."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """List the models."""
        models = {"object": "list", "data": [{"id": NAME, "object": "model", "owned_by": "test"}]}
        known = self.path == "/v1/models"
        self._send(Reply((json.dumps(models).encode(),)) if known else refuse(404, "not found"))

    def do_POST(self) -> None:
        """Answer a chat or a request for vectors."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        match self.path:
            case "/v1/chat/completions":
                self._send(self._provider.chat(body))
            case "/v1/embeddings":
                self._send(self._provider.embeddings(body))
            case _:
                self._send(refuse(404, "not found"))

    @property
    def _provider(self) -> Provider:
        provider = self.server
        assert isinstance(provider, Provider)
        return provider

    def _send(self, reply: Reply) -> None:
        self.close_connection = True
        # Clients hang up on what takes too long or was cut.
        with suppress(ConnectionError):
            self._provider.closing.wait(reply.wait)
            if reply.status == 0:
                return
            if reply.tokens is not None:
                # Before the client can have read it all and asks what was counted.
                self._provider.count(reply.tokens)
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Connection", "close")
        for name, value in reply.headers:
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        left = len(reply.body) if reply.cut is None else reply.cut
        for piece in reply.pieces:
            self.wfile.write(piece[:left])
            left -= len(piece[:left])
            self.wfile.flush()
            if left <= 0 or (reply.pause and self._provider.closing.wait(reply.pause)):
                break

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output quiet."""


@contextmanager
def serving(policy: Policy) -> Iterator[Provider]:
    """Serve a policy on the loopback, past any proxy, as long as the context lasts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in PROXIES:
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        provider = Provider(policy)
        thread = threading.Thread(target=provider.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield provider
        finally:
            provider.stop()
            thread.join()


class Offline:
    """The built-in model as a policy.

    It reads data that ride beside a message and are not sent. So the client is watched: which
    messages each request is made of. What comes back is the model's words alone.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._made: dict[str, list[BaseMessage]] = {}
        original = ChatOpenAI._get_request_payload

        def noting(model: ChatOpenAI, input_: Any, **kwargs: Any) -> Body:
            payload = original(model, input_, **kwargs)
            made = model._convert_input(input_).to_messages()
            self._made[_key(payload["messages"])] = made
            return payload

        patch.setattr(ChatOpenAI, "_get_request_payload", noting)

    def __call__(self, body: Body) -> Words:
        messages = self._made[_key(body["messages"])]
        answer = OfflineModel().bind(tools=body.get("tools", [])).invoke(messages)
        assert isinstance(answer, AIMessage)
        usage = answer.usage_metadata
        assert usage is not None
        return Words(
            text=answer.text,
            calls=tuple((call["name"], json.dumps(call["args"])) for call in answer.tool_calls),
            tokens=(usage["input_tokens"], usage["output_tokens"]),
        )


def _key(messages: list[Body]) -> str:
    return json.dumps(messages, sort_keys=True)
