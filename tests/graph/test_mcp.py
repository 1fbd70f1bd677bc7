"""The MCP server as a coding agent meets it: the SDK's own client, real processes and training."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from move37.cli import outside
from move37.graph.desk import open_desk
from move37.graph.lab import complete, open_store
from move37.records import Experiment, UserError
from move37.settings import Settings
from tests.graph.outside import GOOD, LEAKY, config, idea
from tests.graph.records import lasting
from tests.test_cli import is_one_clear_line, move37

pytest.importorskip("mcp", reason="the extra `mcp` is not installed")

import httpx2
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult, TextContent

from move37.cli.mcp_server import opened_beside, server_of

TOOLS = {
    "brief",
    "search_cognition",
    "search_lessons",
    "read_experiment",
    "compare_experiments",
    "read_template",
    "check",
    "submit",
    "outcome",
}


def environment(settings: Settings) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MOVE37_")}
    return {**kept, "MOVE37_HOME": str(settings.home), "MOVE37_CACHE": str(settings.cache)}


@asynccontextmanager
async def over_stdio(settings: Settings, *arguments: str) -> AsyncIterator[Client]:
    """Start `move37 mcp` and speak with it on its standard streams."""
    settings.home.mkdir(parents=True, exist_ok=True)
    command = ["-m", "move37", "mcp", "--tier", "smoke", *arguments]
    server = StdioServerParameters(
        command=sys.executable, args=command, env=environment(settings), cwd=settings.home
    )
    with (settings.home / "stderr.txt").open("a") as errors:
        async with Client(stdio_client(server, errors)) as client:
            yield client


async def said(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that must succeed and return its text."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return text_of(result)


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that must refuse, in one line."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, text_of(result)
    assert "\n" not in text_of(result)
    return text_of(result)


async def end_of(client: Client, number: int) -> dict[str, Any]:
    """Ask for an outcome until the experiment has ended, or wants another design."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        result = await client.call_tool("outcome", {"number": number, "wait_seconds": 20})
        figures = result.structured_content
        assert isinstance(figures, dict)
        if figures["state"] != "running":
            return figures | {"text": text_of(result)}
    pytest.fail("it never ended")


def read(settings: Settings, name: str = "desk") -> list[Experiment]:
    with open_store(settings) as store:
        return store.experiments(name)


@pytest.mark.slow
async def test_an_agent_drives_the_loop_over_stdio(settings: Settings) -> None:
    async with over_stdio(settings, "-n", "2") as client:
        assert client.instructions is not None
        assert "`brief`" in client.instructions
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == TOOLS
        assert all(tool.description for tool in tools)

        brief = await said(client, "brief")
        assert "class TokenMixer" in brief
        draft = Path(brief.splitlines()[-1])
        assert draft.read_text() in brief or "class TokenMixer" in draft.read_text()
        found = await said(client, "search_cognition", query="the memory must forget", k=2)
        lesson = found.partition("[")[2].partition("]")[0]
        assert (await said(client, "check", code=LEAKY)).startswith("FAILED")
        draft.write_text(GOOD)
        assert (await said(client, "check")).startswith("PASSED")
        await said(client, "submit", **idea(cognition_ids=[lesson, "invented"]))

        outcome = await end_of(client, 1)
        assert outcome["state"] == "ended"
        assert outcome["status"] == "scored"
        assert outcome["loss"] < 5.6
        assert "baseline" in outcome["text"]
        assert Path(outcome["record"]).is_file()

        await said(client, "brief")
        await said(client, "submit", **idea("again"), code=f"{GOOD}# again\n")
        repeat = await end_of(client, 2)
        assert (repeat["state"], repeat["attempts_left"]) == ("wanted", 3)
        assert "repeats experiment 1" in repeat["text"]
        assert "repeats experiment 1" in await said(client, "brief")
        assert "gated" in await said(client, "read_experiment", number=1)
    (only,) = read(settings)
    assert only.proposal is not None
    assert only.proposal.code == GOOD
    assert only.proposal.cognition_ids == (lesson,)
    assert only.outcome is not None
    # The log of the campaign, and nothing but errors on the streams of the process.
    assert (settings.home / "desk" / "log.jsonl").stat().st_size
    assert (settings.home / "stderr.txt").read_text() == ""


def server_process() -> psutil.Process:
    """Return the server that this process started."""
    (found,) = [p for p in psutil.Process().children() if "mcp" in p.cmdline()]
    return found


@pytest.mark.long
async def test_a_server_killed_in_training_goes_on_where_it_was(
    settings: Settings, tmp_path: Path
) -> None:
    async with over_stdio(settings, "-n", "1") as client:
        await said(client, "brief")
        await said(client, "submit", **idea(), code=GOOD)
        while "step" not in await said(client, "outcome", wait_seconds=0.1):
            pass
        server_process().kill()
        with pytest.raises(MCPError, match=r"[Cc]onnection"):
            await said(client, "outcome")
    assert read(settings) == []
    async with over_stdio(settings, "-n", "1") as client:
        assert (await end_of(client, 1))["status"] == "scored"
    undisturbed = settings.model_copy(update={"home": tmp_path / "undisturbed"})
    async with over_stdio(undisturbed, "-n", "1") as client:
        await said(client, "brief")
        await said(client, "submit", **idea(), code=GOOD)
        await end_of(client, 1)
    assert lasting(read(settings)) == lasting(read(undisturbed))


@contextmanager
def over_http(settings: Settings) -> Iterator[str]:
    """Start `move37 mcp --http` on a free port and yield its address."""
    command = [sys.executable, "-m", "move37", "mcp", "--tier", "smoke", "--http", "0"]
    settings.home.mkdir(parents=True, exist_ok=True)
    errors = settings.home / "stderr.txt"
    with errors.open("w") as log:
        process = subprocess.Popen(
            command, env=environment(settings), stdout=subprocess.PIPE, stderr=log
        )
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"http://\S+", errors.read_text())):
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield found[0]
        process.terminate()
        printed, _ = process.communicate(timeout=60)
        assert printed == b""
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
async def test_two_agents_share_one_campaign_over_http(settings: Settings) -> None:
    with over_http(settings) as url:
        async with Client(url) as first, Client(url) as second:
            assert await said(first, "brief") == await said(second, "brief")
            await said(first, "submit", **idea(), code=GOOD)
            told = await refused(second, "submit", **idea("late"), code=LEAKY)
            assert "experiment 1 is under way" in told
            assert (await end_of(second, 1))["status"] == "scored"
        # A page that a browser has open must not reach it, by whatever name it found it.
        body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        headers = {"Accept": "application/json, text/event-stream"}
        assert url.startswith("http://127.0.0.1:")
        with httpx2.Client() as raw:
            for lie in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
                answer = raw.post(url, json=body, headers=headers | lie)
                assert answer.status_code in (403, 421), answer.text
            assert raw.post(url, json=body, headers=headers).status_code not in (403, 421)
    (only,) = read(settings)
    assert only.proposal is not None
    assert only.proposal.name == "gated"


@asynccontextmanager
async def in_process(settings: Settings) -> AsyncIterator[Client]:
    """Speak with a server in this process, with a desk opened beside it."""
    whole = complete(config(), settings)
    with opened_beside(lambda watch: open_desk(whole, settings, watch)) as front:
        async with Client(server_of(front)) as opened:
            yield opened


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("train", {}, "Unknown tool: train"),
    ("submit", {"name": "x"}, "submit: motivation: Field required"),
    ("submit", idea(expected_gain="much"), "submit: expected_gain: "),
    ("submit", idea(name=""), "name: String should have at least 1"),
    ("submit", idea(mechanism="gated"), "submit has no argument 'mechanism'; it has name, "),
    ("submit", idea(), "code: it is still the parent's"),
    ("search_cognition", {"query": " "}, "the query is empty"),
    ("search_cognition", {"query": "x", "k": 99}, "search_cognition: k: "),
    ("search_cognition", {"query": "x", "families": ["magic"]}, "no family 'magic'; there are"),
    ("read_experiment", {"number": 0}, "number 0 is the root template"),
    ("read_experiment", {"number": 4}, "there is no experiment 4"),
    ("read_template", {"name": "../secret"}, "no template"),
    ("outcome", {"number": 9}, "there is no experiment 9 yet"),
    ("outcome", {"wait_seconds": 1e9}, "outcome: wait_seconds: "),
]


async def test_wrong_arguments_are_told_in_one_line(settings: Settings) -> None:
    async with in_process(settings) as client:
        early = await refused(client, "submit", **idea(), code=GOOD)
        assert early.endswith("experiment 1 has not begun: ask for the brief first")
        await said(client, "brief")
        for tool, arguments, start in WRONG:
            assert (await refused(client, tool, **arguments)).startswith(start)
        assert "waits for a design" in await said(client, "outcome")


async def test_what_a_search_shows_is_fenced_as_data(settings: Settings) -> None:
    async with in_process(settings) as client:
        await said(client, "brief")
        assert "<untrusted" in await said(client, "search_cognition", query="forget")
        assert await said(client, "search_lessons", query="forget") == "none"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--campaign", "a/b"], "--campaign a/b: "),
        (["--tier", "cluster"], "unknown tier 'cluster'"),
        (["--http", "70000"], "--http 70000: "),
    ],
)
def test_a_server_that_cannot_be_started_says_why(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    is_one_clear_line(move37(tmp_path, "mcp", *arguments), said)
    assert not list(tmp_path.glob("desk"))


@pytest.mark.slow
def test_a_server_keeps_to_its_campaign_and_to_its_lock(settings: Settings) -> None:
    home = settings.home
    whole = complete(config(), settings)
    with open_desk(whole, settings, lambda _: None):
        busy = move37(home, "mcp", "--tier", "smoke", MOVE37_CACHE=str(settings.cache))
    is_one_clear_line(busy, "campaign desk is already running in another process")
    is_one_clear_line(move37(home, "mcp", "--tier", "laptop"), "campaign desk runs at tier smoke")
    with open_store(settings) as store:
        store.create_campaign(complete(config("inside", models={}), settings))
    is_one_clear_line(move37(home, "mcp", "-c", "inside"), "is offline:grammar; choose another")


def test_a_campaign_of_an_outside_researcher_is_not_run_without_it(tmp_path: Path) -> None:
    told = move37(tmp_path, "run", "--tier", "smoke", MOVE37_RESEARCHER_MODEL="external")
    is_one_clear_line(told, "move37 mcp")


def test_without_the_package_the_line_that_installs_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "move37.cli.mcp_server")
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    with pytest.raises(UserError, match=r"pip install 'move37\[mcp\]'"):
        outside.mcp()
