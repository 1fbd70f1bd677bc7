"""The graph behind a real LangGraph server, driven by its SDK as Studio drives it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NODES = ["select", "researcher", "novelty", "evaluate", "judge", "analyst", "archive"]
TRACING = ("LANGSMITH_", "LANGCHAIN_")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(f"{url}/ok", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    pytest.fail("the server did not answer")


@contextmanager
def langgraph_dev(folder: Path, cache: Path, **more: str) -> Iterator[str]:
    """Run the real server on a copy of our configuration; yield its address."""
    command = Path(sys.executable).with_name("langgraph")
    if not command.exists():
        pytest.skip("the extra `studio` is not installed")
    # The server keeps its own files beside the configuration, so it gets a copy.
    shutil.copy(ROOT / "langgraph.json", folder)
    config = folder / "langgraph.json"
    config.write_text(config.read_text().replace('"."', f'"{ROOT}"').replace('".env"', "{}"))
    port = _free_port()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(TRACING)}
    environment = {
        **kept,
        "MOVE37_HOME": str(folder / "runs"),
        "MOVE37_CACHE": str(cache),
        "MOVE37_STUDIO_TIER": "smoke",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "true",
        **more,
    }
    process = subprocess.Popen(
        [command, "dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port)],
        cwd=folder,
        env=environment,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[str]:
    with langgraph_dev(tmp_path_factory.mktemp("studio"), cache) as url:
        yield url


async def parts_of(url: str, thread: str | None = None, **asked: Any) -> tuple[str, list[Any]]:
    """Run the graph once and return the thread and what was streamed."""
    from langgraph_sdk import get_client

    seen = []
    async with get_client(url=url) as client:
        thread = thread or (await client.threads.create())["thread_id"]
        async for part in client.runs.stream(thread, "move37", **asked):
            assert part.event != "error", part.data
            seen.append(part)
    return thread, seen


async def values_of(url: str, thread: str) -> dict[str, Any]:
    """Return the state of a thread as Studio shows it."""
    from langgraph_sdk import get_client

    async with get_client(url=url) as client:
        state = await client.threads.get_state(thread)
    values = state["values"]
    assert isinstance(values, dict)
    return values


async def test_one_click_runs_an_experiment_node_by_node(server: str) -> None:
    thread, parts = await parts_of(server, input={}, stream_mode=["updates"])
    updates = [part.data for part in parts if part.event == "updates"]
    seen = [name for update in updates for name in update]
    assert [name for name in seen if name in NODES] == NODES
    headlines = [node["headline"] for update in updates for node in update.values()]
    assert [one.partition(": ")[0] for one in headlines] == [f"experiment 1, {n}" for n in NODES]
    assert (await values_of(server, thread))["headline"].startswith("experiment 1, archive: ")


async def test_the_fields_of_the_input_say_what_they_are(server: str) -> None:
    from langgraph_sdk import get_client

    async with get_client(url=server) as client:
        (assistant,) = await client.assistants.search(graph_id="move37")
        schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    asked = schemas["input_schema"]
    assert asked is not None
    fields = asked["properties"]
    assert set(fields) == {"number", "approve"}
    assert all(field["description"] for field in fields.values())
    assert not asked.get("required")


async def test_the_calls_of_tools_are_seen(server: str) -> None:
    _, parts = await parts_of(server, input={}, stream_mode=["updates"], stream_subgraphs=True)
    called: dict[str, set[str]] = {}
    for part in parts:
        event, _, place = part.event.partition("|")
        if event != "updates" or not place:
            continue
        for update in part.data.values():
            for message in (update or {}).get("messages", []):
                names = {call["name"] for call in message.get("tool_calls", [])}
                called.setdefault(place.partition(":")[0], set()).update(names)
    assert {"write_code", "check_code"} & called["researcher"], called
    assert "Design" in called["researcher"]


async def test_approval_waits_and_a_no_trains_nothing(server: str) -> None:
    thread, parts = await parts_of(server, input={"approve": True}, stream_mode=["updates"])
    asked = parts[-1].data["__interrupt__"][0]
    assert asked["value"]["wanted"] == "approval"
    assert asked["value"]["motivation"]
    # Another run does not take the number of the one that waits.
    other, _ = await parts_of(server, input={}, stream_mode=["updates"])
    number = asked["value"]["experiment"]
    assert (await values_of(server, other))["number"] == number + 1
    _, parts = await parts_of(server, thread, command={"resume": False}, stream_mode=["updates"])
    assert [name for part in parts[1:] for name in part.data] == ["approval", "archive"]
    assert (await values_of(server, thread))["headline"].endswith(": not approved")


class _Listener(ThreadingHTTPServer):
    """A stand-in for LangSmith that counts who calls."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.paths: list[str] = []


class _Answer(BaseHTTPRequestHandler):
    def _answered(self) -> None:
        assert isinstance(self.server, _Listener)
        self.server.paths.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = json.dumps({}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = do_PATCH = _answered

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("traced", [False, True])
async def test_nothing_is_traced_unless_the_variables_say_so(
    traced: bool, tmp_path: Path, cache: Path
) -> None:
    with _Listener() as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{listener.server_port}"
        variables = {"LANGSMITH_ENDPOINT": place}
        if traced:
            variables |= {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "a-key"}
        with langgraph_dev(tmp_path, cache, **variables) as url:
            await parts_of(url, input={"approve": True}, stream_mode=["updates"])
        listener.shutdown()
    assert bool([path for path in listener.paths if "runs" in path]) == traced, listener.paths
    assert traced or not listener.paths
