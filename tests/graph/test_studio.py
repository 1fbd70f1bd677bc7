"""The graph behind a real LangGraph server, driven by its SDK."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODES = ["select", "researcher", "novelty", "evaluate", "judge", "analyst", "archive"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(f"{url}/ok", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    pytest.fail("the server did not answer")


@pytest.fixture
def server(tmp_path: Path, cache: Path) -> Iterator[str]:
    command = Path(sys.executable).with_name("langgraph")
    if not command.exists():
        pytest.skip("the extra `studio` is not installed")
    # The server keeps its own files beside the configuration, so it gets a copy.
    shutil.copy(ROOT / "langgraph.json", tmp_path)
    config = tmp_path / "langgraph.json"
    config.write_text(config.read_text().replace('"."', f'"{ROOT}"').replace('".env"', "{}"))
    port = _free_port()
    environment = {
        **os.environ,
        "MOVE37_HOME": str(tmp_path / "runs"),
        "MOVE37_CACHE": str(cache),
        "MOVE37_STUDIO_TIER": "smoke",
        "LANGSMITH_TRACING": "false",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "true",
    }
    process = subprocess.Popen(
        [command, "dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port)],
        cwd=tmp_path,
        env=environment,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.slow
def test_studio_streams_one_experiment_node_by_node(server: str) -> None:
    from langgraph_sdk import get_client

    async def stream() -> list[str]:
        seen: list[str] = []
        async with get_client(url=server) as client:
            thread = await client.threads.create()
            async for part in client.runs.stream(
                thread["thread_id"], "move37", input={}, stream_mode=["updates"]
            ):
                assert part.event != "error", part.data
                if part.event == "updates":
                    seen += list(part.data)
        return seen

    seen = asyncio.run(stream())
    assert [name for name in seen if name in NODES] == NODES
