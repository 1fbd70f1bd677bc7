"""The line between agents and their models: waiting, giving up, falling back, other ways."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.exceptions import (
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelRateLimitError,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableParallel
from langchain_core.utils.function_calling import convert_to_openai_tool

from move37.agents.briefs import Slot
from move37.agents.judge import judge
from move37.agents.models.ledger import Ledger
from move37.agents.models.prices import load_prices
from move37.agents.models.tape import Player, Recorder
from move37.agents.models.wire import Line, Patience, Voice, Wired, within
from move37.records import BudgetSpent, CampaignConfig, Caps, Rubric, UserError, Weather
from move37.settings import Protocol
from tests.agents.scripted import MARKS, Scripted, calls, judge_brief, measured, says

GOOD = calls("Rubric", **MARKS)
AT_ONCE = Patience(attempts=3, first=0.001, longest=0.01)
SLOT = Slot(experiment=1, role="judge")
ASKED = [SystemMessage("You are the judge."), HumanMessage("Judge.")]


class Named(Scripted):
    """A scripted model with a name of its own and without native tools where `deaf`."""

    deaf: bool = False

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        if self.deaf:
            raise NotImplementedError
        return super().bind_tools(tools, **kwargs)


def line(*models: BaseChatModel, ledger: Ledger | None = None, **more: Any) -> Line:
    """Return a line to these models that does not wait long."""
    voices = tuple(Voice(f"test:{number}", model) for number, model in enumerate(models))
    ledger = ledger or Ledger(Caps(), load_prices())
    return Line(role="judge", voices=voices, ledger=ledger, **{"patience": AT_ONCE, **more})


def ask(one: Line) -> AIMessage:
    """Make one call with the tool of the judge."""
    return Wired(line=one, slot=SLOT).bind_tools([Rubric]).invoke(ASKED)


def test_trouble_that_passes_is_waited_out() -> None:
    model = Scripted(script=[ModelRateLimitError("slow down"), ConnectionError("reset"), GOOD])
    assert ask(line(model)).tool_calls[0]["args"] == MARKS
    assert len(model.seen) == 3


def test_trouble_that_stays_is_weather_after_the_last_attempt() -> None:
    model = Scripted(script=[ModelRateLimitError("slow down")])
    with pytest.raises(Weather, match="the model of the judge failed: ModelRateLimitError"):
        ask(line(model))
    assert len(model.seen) == 3


def test_a_refusal_is_told_to_the_user_at_once() -> None:
    model = Scripted(script=[ModelAuthenticationError("bad key")])
    with pytest.raises(UserError, match="MOVE37_API_KEY"):
        ask(line(model, Scripted(script=[GOOD])))
    assert len(model.seen) == 1


def test_the_next_model_of_the_role_answers_when_the_first_cannot_be_had() -> None:
    first, second = Scripted(script=[ConnectionError("down")]), Scripted(script=[GOOD])
    assert ask(line(first, second)).tool_calls
    assert (len(first.seen), len(second.seen)) == (3, 1)


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    error = ModelRateLimitError("come back tomorrow")
    error.__cause__ = type(
        "E", (Exception,), {"response": type("R", (), {"headers": {"retry-after": "86400"}})}
    )()
    first = Scripted(script=[error])
    assert ask(line(first, Scripted(script=[GOOD]))).tool_calls
    assert len(first.seen) == 1


def test_a_model_that_hangs_is_given_up_while_another_goes_on() -> None:
    hang = threading.Event()

    class Hanging(Scripted):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            hang.wait(30)
            return super()._generate(*args, **kwargs)

    started = time.perf_counter()
    one = line(Hanging(script=[GOOD]), timeout=0.05, patience=Patience(attempts=1))
    with pytest.raises(Weather, match=r"no answer within 0\.05 s"):
        ask(one)
    assert time.perf_counter() - started < 10
    assert ask(line(Scripted(script=[GOOD]))).tool_calls
    hang.set()


def test_an_exception_of_the_work_itself_comes_through_the_limit_of_time() -> None:
    def work() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        within(5, work)
    assert within(5, lambda: 7) == 7


@pytest.mark.parametrize("way", ["schema", "text"])
def test_a_model_without_tools_is_spoken_to_in_json(way: Protocol) -> None:
    class Schemed(Named):
        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            assert kwargs == {"method": "json_schema", "include_raw": True}
            assert schema["properties"]["tool"] == {"const": "Rubric"}
            return RunnableParallel(raw=self) | (lambda told: {**told, "parsed": None})

    said = says(json.dumps({"tool": "Rubric", "arguments": MARKS}))
    model = Schemed(script=[said], deaf=True)
    rubric, use = judge(judge_brief(measured()), Wired(line=line(model, protocol=way), slot=SLOT))
    assert rubric.innovation == 5
    assert use.calls >= 1
    assert "Rubric" in model.seen[0][0].text


def test_a_model_that_refuses_tools_is_spoken_to_otherwise_from_then_on() -> None:
    class Refusing(Named):
        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    refusal = ModelInvalidRequestError("this model does not support tools")
    said = says(f"```json\n{json.dumps({'tool': 'Rubric', 'arguments': MARKS})}\n```")
    model = Refusing(script=[refusal, said])
    one = line(model)
    assert ask(one).tool_calls[0]["args"] == MARKS
    assert ask(one).tool_calls[0]["args"] == MARKS
    assert len(model.seen) == 3


def test_a_call_within_prose_is_read_although_the_model_has_tools() -> None:
    said = says(f"My marks: {json.dumps({'name': 'Rubric', 'arguments': MARKS})}")
    assert ask(line(Scripted(script=[said]))).tool_calls[0]["args"] == MARKS


def test_every_call_is_in_the_books_and_failed_ones_too(tmp_path: Path) -> None:
    ledger = Ledger(Caps(), load_prices(), tmp_path / "calls.jsonl")
    ask(line(Scripted(script=[ConnectionError("reset"), GOOD]), ledger=ledger))
    total = ledger.totals().campaign
    assert (total.calls, total.failed) == (2, 1)
    assert ledger.totals().experiments[1].calls == 2
    assert Ledger(Caps(), load_prices(), tmp_path / "calls.jsonl").totals().campaign.calls == 2


def test_a_cap_stops_before_the_call_that_could_pass_it() -> None:
    model = Scripted(script=[GOOD])
    one = line(model, ledger=Ledger(Caps(calls=2), load_prices()))
    ask(one)
    ask(one)
    with pytest.raises(BudgetSpent):
        ask(one)
    assert len(model.seen) == 2


def test_what_was_recorded_is_played_without_any_model(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    recorder = Recorder(path, CampaignConfig(name="c", tier="smoke"), resume=False)
    model = Scripted(script=[ConnectionError("reset"), GOOD])
    first = ask(line(model, recorder=recorder))
    player = Player(path)
    again = ask(line(Scripted(script=[RuntimeError("asked")]), player=player))
    assert again.tool_calls == first.tool_calls
    assert again.usage_metadata == first.usage_metadata
    assert player.differing == set()


def test_trouble_is_played_too(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    recorder = Recorder(path, CampaignConfig(name="c", tier="smoke"), resume=False)
    with pytest.raises(Weather):
        ask(line(Scripted(script=[ConnectionError("down")]), recorder=recorder))
    with pytest.raises(Weather, match="down"):
        ask(line(Scripted(script=[RuntimeError("asked")]), player=Player(path)))


def test_many_threads_share_a_line() -> None:
    one = line(Scripted(script=[GOOD]))
    found: list[AIMessage] = []
    threads = [threading.Thread(target=_gather(one, found)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert one.ledger.totals().campaign.calls == 8


def _gather(one: Line, found: list[AIMessage]) -> Callable[[], None]:
    return lambda: found.append(ask(one))


def test_tools_are_offered_as_any_model_offers_them() -> None:
    bound: Any = Wired(line=line(Scripted(script=[GOOD]))).bind_tools([Rubric], tool_choice="any")
    assert bound.kwargs["tools"] == [convert_to_openai_tool(Rubric)]
